#include "config/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using test::dump;
using test::FakeSources;
using testing::HasSubstr;

class StoreTest : public testing::Test {
protected:
    ReloadOutcome reload(const std::string& text) {
        fake_.files["m.yaml"] = text;
        return store_.reload("m.yaml", fake_.sources());
    }

    FakeSources fake_;
    Published<Loaded> published_{std::make_shared<const Loaded>()};
    Store store_{published_};
};

TEST_F(StoreTest, PublishesWhatDiffers) {
    const auto outcome = reload("limits: {body: 1MiB}\n");
    EXPECT_EQ(outcome.result, ReloadResult::published);
    EXPECT_EQ(published_.current()->config.limits.body, kMiB);
}

TEST_F(StoreTest, PublishesNothingWhenTheDocumentSaysTheSame) {
    reload("limits: {body: 1MiB}\n");
    const auto before = published_.current();
    const auto outcome = reload("# a comment\nlimits:\n  body: 1048576\n");
    EXPECT_EQ(outcome.result, ReloadResult::unchanged);
    EXPECT_EQ(published_.current(), before);
}

TEST_F(StoreTest, KeepsTheLastGoodConfiguration) {
    reload("limits: {body: 1MiB}\n");
    const auto before = published_.current();
    const auto outcome = reload("limits: {body: 1MB}\n");
    EXPECT_EQ(outcome.result, ReloadResult::refused);
    EXPECT_THAT(dump(outcome.problems), HasSubstr("m.yaml:1:16: error: limits.body"));
    EXPECT_EQ(published_.current(), before);

    fake_.files.clear();
    EXPECT_EQ(store_.reload("m.yaml", fake_.sources()).result, ReloadResult::refused);
    EXPECT_EQ(published_.current(), before);
}

TEST_F(StoreTest, PublishesWhenASecretOrAManifestChanges) {
    fake_.environment["TOKEN"] = "one";
    fake_.files["r.yaml"] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        "metadata: {name: a}\nspec: {}\n";
    const std::string text =
        "listeners: {admin: {token: {env: TOKEN}}}\nroutes: {manifests: [r.yaml]}\n";
    EXPECT_EQ(reload(text).result, ReloadResult::published);
    EXPECT_EQ(reload(text).result, ReloadResult::unchanged);
    fake_.environment["TOKEN"] = "two";
    EXPECT_EQ(reload(text).result, ReloadResult::published);
    fake_.files["r.yaml"] += "  # a comment\n";
    EXPECT_EQ(reload(text).result, ReloadResult::unchanged);
    fake_.files["r.yaml"] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        "metadata: {name: b}\nspec: {}\n";
    EXPECT_EQ(reload(text).result, ReloadResult::published);
    EXPECT_EQ(published_.current()->routes[0].name, "b");
}

TEST_F(StoreTest, SaysWhichKeysOnlyTheStartReads) {
    const auto outcome = reload(
        "process: {workers: 3}\nlisteners: {data: {address: 127.0.0.1:1}}\nlimits: {body: 1MiB}\n");
    EXPECT_EQ(outcome.result, ReloadResult::published);
    const auto text = dump(outcome.problems);
    EXPECT_THAT(text, HasSubstr("m.yaml: warning: process.workers: The new value is read at the "
                                "start only."));
    EXPECT_THAT(text, HasSubstr("m.yaml: warning: listeners.data.address: The new value"));
    EXPECT_THAT(text, testing::Not(HasSubstr("limits")));
    EXPECT_THAT(text, testing::Not(HasSubstr("listeners.admin.address: The new value")));
}

}  // namespace
}  // namespace millrace::config
