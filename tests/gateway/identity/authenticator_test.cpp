#include "gateway/identity/authenticator.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::gateway {
namespace {

const Secret kPepper("pepper");

class FixedClock final : public Clock {
public:
    Instant now() const override { return {}; }
    WallTime wall() const override { return time; }
    WallTime time{std::chrono::hours(24)};
};

std::string line(const std::string& id, const std::string& tenant, const std::string& token,
                 const std::string& attributes = "") {
    return id + " " + tenant + " " + to_hex(TokenDigester(kPepper).digest(token)) + " " +
           attributes + "\n";
}

class AuthenticatorTest : public testing::Test {
protected:
    std::shared_ptr<const KeyTable> table(const std::string& text) {
        auto file = parse_key_file(text);
        EXPECT_TRUE(file.problems.empty()) << describe("keys", file.problems);
        return KeyTable::build(std::move(file), kPepper,
                               [](std::string_view tenant) { return tenant == "acme" ? 7U : 8U; });
    }

    FixedClock clock;
    Authenticator authenticator{
        table(line("k1", "acme", "sk-imported") + line("k2", "beta", "mr_two") +
              line("off", "acme", "disabled-key", "disabled") +
              line("old", "acme", "expired-key", "expires=1970-01-01T23:59:59Z") +
              line("new", "acme", "fresh-key", "expires=1970-01-02T00:00:01Z")),
        clock};
};

TEST_F(AuthenticatorTest, FindsTheKeyInEachOfTheHeadersThatMayCarryIt) {
    for (const HeaderField field :
         {HeaderField{"Authorization", "Bearer sk-imported"},
          HeaderField{"authorization", "bearer   sk-imported"},
          HeaderField{"X-API-Key", "sk-imported"}, HeaderField{"api-key", "sk-imported"}}) {
        const std::vector<HeaderField> fields{{"host", "h"}, field};
        const auto principal = authenticator.authenticate(fields);
        ASSERT_TRUE(principal) << field.name;
        EXPECT_EQ(principal->tenant, "acme");
        EXPECT_EQ(principal->key_id, "k1");
        EXPECT_EQ(principal->tenant_metric, 7U);
    }
}

TEST_F(AuthenticatorTest, AcceptsTheSameKeyTwiceAndRefusesTwoDifferentOnes) {
    const std::vector<HeaderField> same{{"authorization", "Bearer mr_two"},
                                        {"x-api-key", "mr_two"}};
    ASSERT_TRUE(authenticator.authenticate(same));
    EXPECT_EQ(authenticator.authenticate(same)->tenant_metric, 8U);
    const std::vector<HeaderField> different{{"authorization", "Bearer mr_two"},
                                             {"x-api-key", "sk-imported"}};
    EXPECT_EQ(authenticator.authenticate(different).error().code, Errc::invalid_credentials);
    const std::vector<HeaderField> repeated{
        {"x-api-key", "mr_two"}, {"x-api-key", "sk-imported"}, {"x-api-key", "mr_two"}};
    EXPECT_EQ(authenticator.authenticate(repeated).error().code, Errc::invalid_credentials);
    const std::vector<HeaderField> basic{{"authorization", "Basic bXI6dHdv"},
                                         {"x-api-key", "mr_two"}};
    EXPECT_EQ(authenticator.authenticate(basic).error().code, Errc::invalid_credentials);
}

TEST_F(AuthenticatorTest, GivesTheSameErrorToUnknownDisabledAndExpiredKeys) {
    const std::string huge(5000, 'x');
    const std::vector<HeaderField> unknown{{"x-api-key", "nobody"}};
    const auto expected = authenticator.authenticate(unknown);
    ASSERT_FALSE(expected);
    EXPECT_EQ(expected.error().code, Errc::invalid_credentials);
    for (const std::string_view token :
         {std::string_view("disabled-key"), std::string_view("expired-key"), std::string_view(),
          std::string_view(huge), std::string_view("sk-imported ")}) {
        const std::vector<HeaderField> fields{{"x-api-key", token}};
        const auto result = authenticator.authenticate(fields);
        ASSERT_FALSE(result) << token;
        EXPECT_EQ(result.error().code, expected.error().code);
        EXPECT_EQ(result.error().detail, expected.error().detail);
    }
}

TEST_F(AuthenticatorTest, ExpiresAKeyAtItsTimeWithoutAReload) {
    const std::vector<HeaderField> fields{{"x-api-key", "fresh-key"}};
    EXPECT_TRUE(authenticator.authenticate(fields));
    clock.time += std::chrono::seconds(1);
    EXPECT_FALSE(authenticator.authenticate(fields));
}

TEST_F(AuthenticatorTest, SaysWhenNoKeyWasSent) {
    const std::vector<HeaderField> fields{{"host", "h"}, {"content-type", "application/json"}};
    const auto result = authenticator.authenticate(fields);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::missing_credentials);
    EXPECT_TRUE(authenticator.requires_key());
}

TEST_F(AuthenticatorTest, NeverTakesAnEmptyKeyEvenIfTheTableHasOne) {
    const Authenticator odd(table(line("k", "acme", "")), clock);
    for (const HeaderField field :
         {HeaderField{"x-api-key", ""}, HeaderField{"authorization", ""},
          HeaderField{"authorization", "Bearer "}, HeaderField{"authorization", "Basic Zm9v"}}) {
        const std::vector<HeaderField> fields{field};
        EXPECT_FALSE(odd.authenticate(fields)) << field.name << ": " << field.value;
    }
}

TEST_F(AuthenticatorTest, LetsEverybodyInAsAnonymousWithoutATable) {
    const Authenticator open(nullptr, clock, 3);
    const std::vector<HeaderField> fields{{"x-api-key", "whatever"}};
    const auto principal = open.authenticate(fields);
    ASSERT_TRUE(principal);
    EXPECT_EQ(principal->tenant, "anonymous");
    EXPECT_TRUE(principal->key_id.empty());
    EXPECT_EQ(principal->tenant_metric, 3U);
    EXPECT_FALSE(open.requires_key());
}

/// Certificate `spiffe://prod/search` is tenant search; proxies may name acme and beta.
std::shared_ptr<const TenantSources> sources() {
    auto out = std::make_shared<TenantSources>();
    out->certificates["spiffe://prod/search"] = {"search", 3};
    out->header = "X-Tenant";
    out->named = {{"acme", 7}, {"beta", 8}};
    return out;
}

constexpr Caller kProxy{.certificate = {}, .is_trusted_proxy = true};
constexpr Caller kSearch{.certificate = "spiffe://prod/search", .is_trusted_proxy = false};
constexpr Caller kStranger{.certificate = "spiffe://prod/stranger", .is_trusted_proxy = false};

TEST_F(AuthenticatorTest, KnowsATenantByItsCertificate) {
    const Authenticator open(nullptr, clock, 1, sources());
    EXPECT_EQ(open.authenticate({}, kSearch)->tenant, "search");
    EXPECT_EQ(open.authenticate({}, kSearch)->tenant_metric, 3U);
    EXPECT_EQ(open.authenticate({}, kStranger)->tenant, kAnonymousTenant);
    EXPECT_EQ(open.authenticate({}, kStranger)->tenant_metric, 1U);
}

TEST_F(AuthenticatorTest, LetsAMappedCertificateStandForAKeyButNotForAWrongOne) {
    const Authenticator both(table(line("k1", "acme", "sk-imported")), clock, 1, sources());
    EXPECT_EQ(both.authenticate({}, kSearch)->tenant, "search");
    EXPECT_EQ(both.authenticate({}, kStranger).error().code, Errc::missing_credentials);
    EXPECT_EQ(both.authenticate({}, kProxy).error().code, Errc::missing_credentials);
    const std::vector<HeaderField> good{{"x-api-key", "sk-imported"}};
    EXPECT_EQ(both.authenticate(good, kSearch)->tenant, "acme");
    const std::vector<HeaderField> bad{{"x-api-key", "sk-guess"}};
    EXPECT_EQ(both.authenticate(bad, kSearch).error().code, Errc::invalid_credentials);
}

TEST_F(AuthenticatorTest, BelievesATrustedProxyOnly) {
    const Authenticator open(nullptr, clock, 1, sources());
    const std::vector<HeaderField> fields{{"x-tenant", "acme"}};
    const auto named = open.authenticate(fields, kProxy);
    EXPECT_EQ(named->tenant, "acme");
    EXPECT_EQ(named->tenant_metric, 7U);
    EXPECT_TRUE(named->is_named_by_proxy);
    EXPECT_EQ(open.authenticate(fields)->tenant, kAnonymousTenant);
    EXPECT_EQ(open.authenticate(fields, kSearch)->tenant, "search");
    EXPECT_FALSE(open.authenticate({}, kProxy)->is_named_by_proxy);
}

TEST_F(AuthenticatorTest, MakesNoTenantOfWhatAProxySaysButConfiguredOnes) {
    const Authenticator open(nullptr, clock, 1, sources());
    const auto tenant = [&](std::vector<HeaderField> fields) {
        const auto who = open.authenticate(fields, kProxy);
        return std::pair(who->tenant, who->tenant_metric);
    };
    const std::pair<std::string_view, std::uint32_t> nobody{kAnonymousTenant, 1};
    EXPECT_EQ(tenant({{"x-tenant", "made-up"}}), nobody);
    EXPECT_EQ(tenant({{"x-tenant", ""}}), nobody);
    EXPECT_EQ(tenant({{"x-tenant", "search"}}), nobody) << "mapped from a certificate only";
    EXPECT_EQ(tenant({{"x-tenant", "beta"}, {"X-Tenant", "acme"}}), nobody)
        << "one of them may be a client's";
}

TEST_F(AuthenticatorTest, LetsAProxySpeakForOthersWithItsOwnKey) {
    const Authenticator both(table(line("proxy", "edge", "sk-proxy")), clock, 1, sources());
    const std::vector<HeaderField> fields{{"x-api-key", "sk-proxy"}, {"x-tenant", "beta"}};
    EXPECT_EQ(both.authenticate(fields, kProxy)->tenant, "beta");
    EXPECT_EQ(both.authenticate(fields, kProxy)->key_id, "proxy");
    EXPECT_EQ(both.authenticate(fields)->tenant, "edge");
    const std::vector<HeaderField> silent{{"x-api-key", "sk-proxy"}};
    EXPECT_EQ(both.authenticate(silent, kProxy)->tenant, "edge");
}

}  // namespace
}  // namespace millrace::gateway
