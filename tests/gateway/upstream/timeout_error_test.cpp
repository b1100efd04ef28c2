#include "gateway/upstream/timeout_error.hpp"

#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

TEST(TimeoutError, NamesTheLimitThatPassed) {
    const config::UpstreamTimeouts limits{
        .connect = 1s, .first_byte = 2s, .first_token = 3s, .idle = 4s};
    const auto text = [&](Errc code) {
        const auto error = timeout_error(code, limits, 5s);
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.origin, Origin::upstream);
        return error.detail;
    };
    EXPECT_EQ(text(Errc::upstream_connect_timeout),
              "The backend could not be connected within 1000 ms.");
    EXPECT_EQ(text(Errc::first_byte_timeout),
              "The backend did not begin to answer within 2000 ms.");
    EXPECT_EQ(text(Errc::first_token_timeout), "The backend sent no first token within 3000 ms.");
    EXPECT_EQ(text(Errc::idle_timeout),
              "The backend fell silent: nothing was read within 4000 ms.");
    EXPECT_EQ(text(Errc::total_timeout), "The request was not finished within 5000 ms.");
}

}  // namespace
}  // namespace millrace::gateway
