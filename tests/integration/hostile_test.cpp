// Backends that never stop talking: what they say is given up soon or passed on, and held nowhere.
#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>

#include "tests/integration/crowd.hpp"

namespace millrace::test {
namespace {

struct Endless {
    const char* name;
    std::string start;
    std::string piece;  ///< for ever
    bool stream;
};

class EndlessAnswer : public testing::TestWithParam<Endless> {};

TEST_P(EndlessAnswer, IsGivenUpSoonWithBoundedMemory) {
    constexpr std::size_t kEnough = 64 * 1024 * 1024;
    const auto& param = GetParam();
    std::string piece;
    while (piece.size() < 64 * 1024) {
        piece += param.piece;
    }
    std::atomic<std::size_t> sent{0};
    const Rig rig([&](BackendConnection& connection) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(param.start);
        while (sent < kEnough && connection.send(piece)) {
            sent += piece.size();
        }
    });
    const auto before = status_kib(rig.gateway.pid(), "VmHWM:");
    expect_not_whole(rig.chat_call(chat("m1", param.stream)), {});
    EXPECT_TRUE(rig.gateway.quiet());
    EXPECT_TRUE(eventually([&] { return rig.backend.open_connections() == 0; }));
    EXPECT_LT(sent, kEnough) << "the gateway read on and on";
    EXPECT_LT(status_kib(rig.gateway.pid(), "VmHWM:"), before + kMemoryMargin);
}

std::vector<Endless> endless_answers() {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string many(1'000, 'a');
    return {{"HeaderField", ok + "x-a: ", many, true},
            {"HeaderFields", ok, "x-a: b\r\n", true},
            {"StatusLine", "HTTP/1.1 200 ", many, false},
            {"InterimAnswers", "", "HTTP/1.1 103 Early Hints\r\n\r\n", false},
            {"ChunkExtension", stream_head() + "5;", many, true},
            {"ChunkExtensionLater", StreamStart().token + "5;", many, true},
            {"ChunkSize", stream_head(), std::string(1'000, '0'), true},
            {"Trailers", StreamStart().token + "0\r\n", "x-a: b\r\n", true}};
}

INSTANTIATE_TEST_SUITE_P(All, EndlessAnswer, testing::ValuesIn(endless_answers()),
                         [](const auto& info) { return info.param.name; });

TEST(HugeEvent, PassesThroughUnreadWithBoundedMemory) {
    constexpr std::size_t kPieces = 512;
    const std::string piece(64 * 1024, 'x');
    const Rig rig([&](BackendConnection& connection) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(stream_head() + chunk("data: "));
        for (std::size_t i = 0; i < kPieces; ++i) {
            connection.send(chunk(piece));
        }
        connection.send(chunk("\n\n") + chunk("data: [DONE]\n\n") + std::string(kLastChunk));
        connection.wait_until_gone();
    });
    const auto before = status_kib(rig.gateway.pid(), "VmHWM:");
    RawClient client(rig.gateway.port());
    client.send(post(kChat, chat("m1", true)));
    const auto bytes = [&] {
        std::string all;
        const Deadline deadline(30s);
        while (!all.ends_with(kLastChunk) &&
               read_some(client.socket(), all, deadline) == ReadOutcome::data) {
        }
        return all;
    }();
    EXPECT_TRUE(bytes.ends_with(kLastChunk));
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(bytes, 'x')) / piece.size(), kPieces);
    EXPECT_TRUE(rig.gateway.quiet());
    EXPECT_LT(status_kib(rig.gateway.pid(), "VmHWM:"), before + kMemoryMargin);
}

}  // namespace
}  // namespace millrace::test
