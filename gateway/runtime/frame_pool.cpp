#include "gateway/runtime/frame_pool.hpp"

#include <array>
#include <cstdint>
#include <new>

namespace millrace::gateway {
namespace {

constexpr std::size_t kGranule = 64;
constexpr std::size_t kClasses = 64;
constexpr std::uint32_t kCachedPerClass = 64;

struct FreeBlock {
    FreeBlock* next;
};

struct FreeLists {
    std::array<FreeBlock*, kClasses> head{};
    std::array<std::uint32_t, kClasses> count{};

    FreeLists() = default;
    FreeLists(const FreeLists&) = delete;
    FreeLists& operator=(const FreeLists&) = delete;
    ~FreeLists() {
        for (FreeBlock* block : head) {
            while (block != nullptr) {
                FreeBlock* next = block->next;
                ::operator delete(block);
                block = next;
            }
        }
    }
};

thread_local FreeLists lists;

std::size_t class_of(std::size_t size) {
    return (size + kGranule - 1) / kGranule - 1;
}

}  // namespace

void* allocate_frame(std::size_t size) {
    const std::size_t size_class = class_of(size);
    if (size_class >= kClasses) {
        return ::operator new(size);
    }
    if (FreeBlock* block = lists.head[size_class]; block != nullptr) {
        lists.head[size_class] = block->next;
        --lists.count[size_class];
        return block;
    }
    return ::operator new((size_class + 1) * kGranule);
}

void free_frame(void* frame, std::size_t size) noexcept {
    const std::size_t size_class = class_of(size);
    if (size_class >= kClasses || lists.count[size_class] >= kCachedPerClass) {
        ::operator delete(frame);
        return;
    }
    auto* block = ::new (frame) FreeBlock{lists.head[size_class]};
    lists.head[size_class] = block;
    ++lists.count[size_class];
}

}  // namespace millrace::gateway
