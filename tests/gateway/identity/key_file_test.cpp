#include "gateway/identity/key_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::gateway {
namespace {

const std::string kDigest(64, 'a');
const std::string kOther(64, 'b');

WallTime at(std::int64_t unix_seconds) {
    return WallTime(std::chrono::seconds(unix_seconds));
}

TEST(KeyFile, ReadsKeysCommentsAndAttributes) {
    const auto file =
        parse_key_file("# team keys\n\nk1 acme " + kDigest + " # the first\r\n\tk2   beta " +
                       kOther + " disabled expires=2027-01-31T00:00:00Z");
    EXPECT_TRUE(file.problems.empty()) << describe("keys", file.problems);
    ASSERT_EQ(file.records.size(), 2U);
    EXPECT_EQ(file.records[0].id, "k1");
    EXPECT_EQ(file.records[0].tenant, "acme");
    EXPECT_EQ(to_hex(file.records[0].digest), kDigest);
    EXPECT_FALSE(file.records[0].disabled);
    EXPECT_FALSE(file.records[0].expires);
    EXPECT_TRUE(file.records[1].disabled);
    EXPECT_EQ(file.records[1].expires, at(1801353600));
}

TEST(KeyFile, IsEmptyForAnEmptyText) {
    for (const char* text : {"", "\n\n", "# nothing\n", "   \t\r\n"}) {
        const auto file = parse_key_file(text);
        EXPECT_TRUE(file.records.empty());
        EXPECT_TRUE(file.problems.empty());
    }
}

TEST(KeyFile, ReportsEveryProblemWithItsLine) {
    const auto file = parse_key_file(
        "k1 acme\n"       // 1: too few words
        "k2 acme 1234\n"  // 2: digest
        "-k3 ac!me " +
        kDigest +
        "\n"  // 3: two names
        "k4 acme " +
        kDigest +
        " expires=soon Disabled\n"  // 4: two
        "k5 acme " +
        kDigest +
        "\n"
        "k5 beta " +
        kOther +
        "\n"  // 6: id again
        "k7 beta " +
        kDigest + "\n");  // 7: digest again
    std::vector<int> lines;
    for (const auto& problem : file.problems) {
        lines.push_back(problem.line);
    }
    EXPECT_THAT(lines, testing::ElementsAre(1, 2, 3, 3, 4, 4, 6, 7));
    const auto text = describe("/etc/keys", file.problems);
    EXPECT_THAT(text, testing::HasSubstr("/etc/keys:1: A key needs three words"));
    EXPECT_THAT(text, testing::HasSubstr("/etc/keys:2: The third word"));
    EXPECT_THAT(text, testing::HasSubstr("`Disabled` is unknown"));
    EXPECT_THAT(text, testing::HasSubstr("`soon` is not an RFC 3339 time"));
    EXPECT_THAT(text, testing::HasSubstr("already used in line 5"));
    EXPECT_THAT(text, testing::HasSubstr("the same as the one in line 5"));
}

TEST(KeyFile, NeverRepeatsAKeyThatWasPutWhereTheDigestBelongs) {
    const auto file = parse_key_file("k1 acme mr_secret_key_of_somebody\n");
    ASSERT_EQ(file.problems.size(), 1U);
    EXPECT_FALSE(file.problems[0].message.contains("somebody"));
}

TEST(KeyFile, ShowsNoControlCharactersOfTheFile) {
    const auto file = parse_key_file("k\x1b[31m acme " + kDigest + "\n");
    ASSERT_EQ(file.problems.size(), 1U);
    EXPECT_FALSE(file.problems[0].message.contains('\x1b'));
}

struct TimeCase {
    const char* text;
    std::optional<std::int64_t> unix_seconds;
};

TEST(Rfc3339, ReadsTimesAndRefusesEverythingElse) {
    const TimeCase cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2027-01-31T12:34:56Z", 1801398896},
        {"2027-01-31t12:34:56z", 1801398896},
        {"2027-01-31 12:34:56.789Z", 1801398896},
        {"2027-01-31T14:34:56+02:00", 1801398896},
        {"2027-01-31T06:04:56-06:30", 1801398896},
        {"2028-02-29T00:00:00Z", 1835395200},
        {"2027-02-29T00:00:00Z", std::nullopt},
        {"2027-13-01T00:00:00Z", std::nullopt},
        {"2027-01-31", std::nullopt},
        {"2027-01-31T12:34:56", std::nullopt},
        {"2027-01-31T24:00:00Z", std::nullopt},
        {"2027-01-31T12:34:56.Z", std::nullopt},
        {"2027-01-31T12:34:56Zx", std::nullopt},
        {"2027-01-31T12:34:56+0200", std::nullopt},
        {"2027-1-31T12:34:56Z", std::nullopt},
        {"2027-01-+1T12:34:56Z", std::nullopt},
        {"-027-01-31T12:34:56Z", std::nullopt},
        {"", std::nullopt},
    };
    for (const auto& c : cases) {
        const auto time = parse_rfc3339(c.text);
        ASSERT_EQ(time.has_value(), c.unix_seconds.has_value()) << c.text;
        if (time) {
            EXPECT_EQ(*time, at(*c.unix_seconds)) << c.text;
        }
    }
}

}  // namespace
}  // namespace millrace::gateway
