#include "gateway/pipeline/read_request.hpp"

#include <gtest/gtest.h>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using routing::OverloadSignal;
using testing_support::PipelineWorld;
using testing_support::TextRequest;

constexpr std::string_view kPost =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";

Result<void> admitted_at(const routing::OverloadPressure& pressure) {
    PipelineWorld world;
    world.publish();
    world.overload.update(pressure, Instant{});
    TextRequest text(world, std::string(kPost));
    Request request;
    auto admitted = admit_head(*text.scope, request);
    EXPECT_EQ(text.scope->record.api, "chat_completions")
        << "the access log knows what was refused";
    return admitted;
}

TEST(AdmitHead, RefusesEveryRequestFromTheLaddersThirdStepOnAndSaysWhatIsMissing) {
    EXPECT_TRUE(admitted_at({0.5, OverloadSignal::bytes}));
    EXPECT_TRUE(admitted_at({0.94, OverloadSignal::bytes}));
    const std::pair<OverloadSignal, std::string_view> cases[] = {
        {OverloadSignal::bytes, "limits.buffered_bytes"},
        {OverloadSignal::descriptors, "file descriptors"},
        {OverloadSignal::loop_lag, "overload.loop_lag"}};
    for (const auto& [signal, name] : cases) {
        const auto refused = admitted_at({0.96, signal});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, Errc::server_overloaded);
        EXPECT_NE(refused.error().detail.find(name), std::string::npos) << refused.error().detail;
    }
}

}  // namespace
}  // namespace millrace::gateway
