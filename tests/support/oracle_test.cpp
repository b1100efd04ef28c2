// The oracle must find what it is there for: each test spoils one account of a request that adds
// up.
#include <gtest/gtest.h>

#include "tests/support/oracle.hpp"

namespace millrace::test {
namespace {

struct Accounts {
    ClientLine client{.id = "r1",
                      .status = 200,
                      .stream = true,
                      .complete = true,
                      .done = true,
                      .content = "ka0 lo1 mi2 "};
    nlohmann::json gateway = {{"request_id", "r1"},     {"outcome", "completed"},
                              {"exactness", "exact"},   {"prompt_tokens", 5},
                              {"completion_tokens", 3}, {"upstream_bytes_read", 300}};
    nlohmann::json backend = {{"id", "r1"},           {"prompt_tokens", 5},
                              {"tokens", 3},          {"tokens_written", 3},
                              {"bytes_written", 300}, {"marks", {{1, 100}, {2, 150}, {3, 200}}}};

    std::size_t violations() const {
        return judge(std::vector{client}, std::vector{gateway}, std::vector{backend})
            .violations.size();
    }
};

TEST(Oracle, AcceptsAccountsThatAddUp) {
    const Accounts accounts;
    EXPECT_EQ(accounts.violations(), 0U);
}

TEST(Oracle, FindsARequestThatEndedWithoutAnExplanation) {
    Accounts accounts;
    accounts.client.done = false;
    EXPECT_EQ(accounts.violations(), 1U);
}

TEST(Oracle, FindsMissingAndRepeatedSettlements) {
    const Accounts accounts;
    const std::vector clients{accounts.client};
    const std::vector backend{accounts.backend};
    EXPECT_EQ(judge(clients, {}, backend).violations.size(), 1U);
    EXPECT_EQ(
        judge(clients, std::vector{accounts.gateway, accounts.gateway}, backend).violations.size(),
        1U);
}

TEST(Oracle, FindsTokensThatAreMissingInTheMiddleOrAtTheEnd) {
    Accounts accounts;
    accounts.client.content = "ka0 mi2 ";
    EXPECT_GE(accounts.violations(), 1U);
    accounts.client.content = "ka0 lo1 ";
    EXPECT_EQ(accounts.violations(), 1U);
}

TEST(Oracle, FindsAnExactBillThatIsOffByOne) {
    Accounts accounts;
    accounts.gateway["completion_tokens"] = 2;
    EXPECT_EQ(accounts.violations(), 1U);
    accounts.gateway["completion_tokens"] = 3;
    accounts.gateway["prompt_tokens"] = 4;
    EXPECT_EQ(accounts.violations(), 1U);
}

TEST(Oracle, LetsAPartialBillMissOnlyWhatWasNotRead) {
    Accounts accounts;
    accounts.client.left = true;
    accounts.client.content = "ka0 ";
    accounts.gateway["outcome"] = "client_closed";
    accounts.gateway["exactness"] = "partial";
    accounts.gateway["upstream_bytes_read"] = 160;
    for (const int billed : {2, 3}) {
        accounts.gateway["completion_tokens"] = billed;
        EXPECT_EQ(accounts.violations(), 0U) << billed;
    }
    for (const int billed : {1, 4}) {
        accounts.gateway["completion_tokens"] = billed;
        EXPECT_EQ(accounts.violations(), 1U) << billed;
    }
}

}  // namespace
}  // namespace millrace::test
