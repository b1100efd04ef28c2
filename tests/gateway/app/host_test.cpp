#include "gateway/app/host.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <map>
#include <optional>
#include <string>

namespace millrace::gateway {
namespace {

constexpr const char* kMounted = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

std::string named(const std::map<std::string, std::string>& environment,
                  const std::map<std::string, std::string>& files) {
    const auto find = [](const auto& all, const std::string& key) -> std::optional<std::string> {
        const auto found = all.find(key);
        return found == all.end() ? std::nullopt : std::optional(found->second);
    };
    config::Sources sources;
    sources.environment = [&](const std::string& name) { return find(environment, name); };
    sources.read_file = [&](const std::string& path) { return find(files, path); };
    return own_namespace(sources);
}

TEST(Host, TakesItsNamespaceFromThePod) {
    EXPECT_EQ(named({{"POD_NAMESPACE", "ai"}}, {{kMounted, "mounted"}}), "ai");
    EXPECT_EQ(named({{"POD_NAMESPACE", ""}}, {{kMounted, "mounted"}}), "mounted");
    EXPECT_EQ(named({}, {{kMounted, ""}}), "default");
    EXPECT_EQ(named({}, {}), "default");
}

TEST(Host, TakesWhatIsConfiguredBeforeWhatTheSystemHas) {
    config::Process process;
    process.workers = 3;
    EXPECT_EQ(count_workers(process), 3U);
    process.workers = 0;
    EXPECT_GE(count_workers(process), 1U);
    config::Limits limits;
    limits.buffered_bytes = 1000;
    EXPECT_EQ(byte_budget(limits), 1000U);
    limits.buffered_bytes = 0;
    EXPECT_GT(byte_budget(limits), 1000U);
}

TEST(Host, AsksForAllDescriptorsThatItMayHave) {
    prepare_process();
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace millrace::gateway
