#include "metrics/tokens/stream_error.hpp"

#include <gtest/gtest.h>

namespace millrace::metrics {
namespace {

TEST(StreamError, ReadsVllmsIntegerCodeAsStatus) {
    const auto error = parse_stream_error(
        R"({"message":"too \"long\"","type":"BadRequestError","param":null,"code":400})");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->status, 400U);
    EXPECT_EQ(error->type, "BadRequestError");
    EXPECT_EQ(error->code, "");
    EXPECT_EQ(error->message, "too \"long\"");
    EXPECT_EQ(status_of(*error), 400U);
}

TEST(StreamError, KnowsStatusesByTypeOrCode) {
    const auto status = [](const char* json) {
        return status_of(parse_stream_error(json).value());
    };
    EXPECT_EQ(status(R"({"type":"overloaded_error","message":"m"})"), 529U);
    EXPECT_EQ(status(R"({"type":"InternalServerError","code":null})"), 500U);
    EXPECT_EQ(status(R"({"code":"rate_limit_exceeded","message":"m"})"), 429U);
    EXPECT_EQ(status(R"({"type":"who_knows"})"), 502U);
    EXPECT_EQ(status(R"({"status":503,"code":500,"type":"x"})"), 503U);
    EXPECT_EQ(status(R"({"code":200,"type":"x"})"), 502U) << "no error status";
    EXPECT_EQ(status(R"("just text")"), 502U);
}

TEST(StreamError, IsAbsentForEmptyValues) {
    for (const char* json : {"null", "false", "{}", "[]", "\"\"", "", "{\"a\":"}) {
        EXPECT_FALSE(parse_stream_error(json)) << json;
    }
}

TEST(StreamError, CutsLongTexts) {
    const auto error = parse_stream_error("{\"message\":\"" + std::string(5000, 'm') +
                                          "\",\"type\":\"" + std::string(500, 't') + "\"}");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message.size(), 1024U);
    EXPECT_EQ(error->type.size(), 64U);
}

}  // namespace
}  // namespace millrace::metrics
