#include "gateway/runtime/frame_pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace millrace::gateway {
namespace {

TEST(FramePool, ReusesAFreedFrameOfTheSameClass) {
    void* first = allocate_frame(300);
    free_frame(first, 300);
    void* second = allocate_frame(310);
    EXPECT_EQ(first, second);
    free_frame(second, 310);
}

TEST(FramePool, ServesEverySizeWithUsableMemory) {
    std::vector<std::pair<void*, std::size_t>> frames;
    for (std::size_t size = 1; size < 10'000; size += 97) {
        void* frame = allocate_frame(size);
        std::memset(frame, 0xab, size);
        frames.emplace_back(frame, size);
    }
    for (const auto& [frame, size] : frames) {
        free_frame(frame, size);
    }
}

}  // namespace
}  // namespace millrace::gateway
