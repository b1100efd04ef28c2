#include "gateway/openai/error_table.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace millrace::openai {
namespace {

struct Expected {
    Errc code;
    unsigned status;
    bool is_retryable;
    bool closes;
    const char* outcome;
};

class ErrorTable : public testing::TestWithParam<Expected> {};

// One line per Errc, written out a second time on purpose: this is the contract with SDKs and
// dashboards.
constexpr Expected kExpected[] = {
    {Errc::bad_request_line, 400, false, true, "bad_request"},
    {Errc::bad_target, 400, false, true, "bad_request"},
    {Errc::bad_host, 400, false, true, "bad_request"},
    {Errc::bad_header, 400, false, true, "bad_request"},
    {Errc::duplicate_header, 400, false, true, "bad_request"},
    {Errc::bad_framing, 400, false, true, "bad_request"},
    {Errc::bad_chunk, 400, false, true, "bad_request"},
    {Errc::unsupported_transfer_coding, 501, false, true, "bad_request"},
    {Errc::unsupported_http_version, 505, false, true, "bad_request"},
    {Errc::method_not_allowed, 405, false, false, "bad_request"},
    {Errc::uri_too_long, 414, false, true, "too_large"},
    {Errc::headers_too_large, 431, false, true, "too_large"},
    {Errc::body_too_large, 413, false, true, "too_large"},
    {Errc::unsupported_content_encoding, 415, false, false, "bad_request"},
    {Errc::unsupported_media_type, 415, false, false, "bad_request"},
    {Errc::unsupported_expectation, 417, false, true, "bad_request"},
    {Errc::header_timeout, 408, false, true, "client_timeout"},
    {Errc::body_timeout, 408, false, true, "client_timeout"},
    {Errc::bad_json, 400, false, false, "bad_request"},
    {Errc::json_too_deep, 400, false, false, "bad_request"},
    {Errc::duplicate_key, 400, false, false, "bad_request"},
    {Errc::bad_field, 400, false, false, "bad_request"},
    {Errc::bad_multipart, 400, false, false, "bad_request"},
    {Errc::model_missing, 400, false, false, "bad_request"},
    {Errc::model_mismatch, 400, false, false, "bad_request"},
    {Errc::model_not_found, 404, false, false, "not_found"},
    {Errc::path_not_found, 404, false, false, "not_found"},
    {Errc::response_not_found, 404, false, false, "not_found"},
    {Errc::missing_credentials, 401, false, false, "unauthenticated"},
    {Errc::invalid_credentials, 401, false, false, "unauthenticated"},
    {Errc::forbidden, 403, false, false, "forbidden"},
    {Errc::server_overloaded, 503, true, false, "overloaded"},
    {Errc::too_many_connections, 503, true, true, "overloaded"},
    {Errc::draining, 503, true, true, "draining"},
    {Errc::no_ready_endpoint, 503, true, false, "no_backend"},
    {Errc::queue_full, 503, true, false, "queue_full"},
    {Errc::queue_timeout, 503, true, false, "queue_timeout"},
    {Errc::pool_asleep, 503, true, false, "queue_timeout"},
    {Errc::pool_starting, 503, true, false, "queue_timeout"},
    {Errc::shed, 503, true, false, "shed"},
    {Errc::zero_weight, 503, true, false, "no_backend"},
    {Errc::unresolved_backend, 500, true, false, "no_backend"},
    {Errc::upstream_connect_failed, 502, true, false, "backend_error"},
    {Errc::upstream_connect_timeout, 504, true, false, "backend_timeout"},
    {Errc::upstream_closed, 502, true, false, "backend_error"},
    {Errc::upstream_bad_response, 502, true, false, "backend_error"},
    {Errc::upstream_truncated, 502, true, true, "backend_error"},
    {Errc::upstream_error_event, 502, true, false, "backend_error"},
    {Errc::first_byte_timeout, 504, true, false, "backend_timeout"},
    {Errc::first_token_timeout, 504, true, false, "backend_timeout"},
    {Errc::idle_timeout, 504, true, true, "backend_timeout"},
    {Errc::total_timeout, 504, true, true, "backend_timeout"},
    {Errc::client_closed, 499, false, true, "client_closed"},
    {Errc::client_write_stalled, 499, false, true, "client_closed"},
    {Errc::drain_deadline, 503, true, true, "draining"},
    {Errc::internal, 500, true, true, "internal"},
};

TEST_P(ErrorTable, LooksAsPromised) {
    const Expected& expected = GetParam();
    const ErrorRow& row = error_row(expected.code);
    EXPECT_EQ(row.status, expected.status);
    EXPECT_EQ(row.is_retryable, expected.is_retryable);
    EXPECT_EQ(row.closes, expected.closes);
    EXPECT_EQ(row.outcome, expected.outcome);
    EXPECT_EQ(row.reason.empty(), row.status != 503);
    const bool by_caller = row.status < 500 || row.status == 501 || row.status == 505;
    EXPECT_EQ(row.type == "invalid_request_error", by_caller) << row.type;
    if (expected.code == Errc::invalid_credentials) {
        EXPECT_EQ(row.code, "invalid_api_key");
    } else {
        EXPECT_EQ(row.code, to_string(expected.code));
    }
}
INSTANTIATE_TEST_SUITE_P(EveryErrc, ErrorTable, testing::ValuesIn(kExpected),
                         [](const auto& info) { return std::string(to_string(info.param.code)); });

TEST(ErrorTableWhole, CoversEveryErrcOnce) {
    std::set<Errc> seen;
    for (const Expected& expected : kExpected) {
        seen.insert(expected.code);
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(Errc::kErrcCount));
    EXPECT_EQ(std::size(kExpected), seen.size());
}

TEST(ErrorTableWhole, UsesOnlyTheReasonsOfTheContract) {
    const std::set<std::string_view> reasons{
        "asleep",   "starting",      "saturated",        "shed",
        "draining", "backend_error", "server_overloaded"};
    for (const Expected& expected : kExpected) {
        const std::string_view reason = error_row(expected.code).reason;
        EXPECT_TRUE(reason.empty() || reasons.contains(reason)) << reason;
    }
    EXPECT_EQ(error_row(Errc::model_not_found).param, "model");
}

}  // namespace
}  // namespace millrace::openai
