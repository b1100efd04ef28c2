#include "gateway/app/discovery.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/deadline.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using Backends = std::map<std::string, config::Backend>;

/// DNS whose answers the test chooses, and which can hang.
class FakeDns {
public:
    void answer(const std::string& name, std::vector<std::string> addresses) {
        const std::lock_guard lock(mutex_);
        answers_[name] = std::move(addresses);
    }
    void hang(bool on) {
        const std::lock_guard lock(mutex_);
        hangs_ = on;
        changed_.notify_all();
    }
    std::size_t asked(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = asked_.find(name);
        return found == asked_.end() ? 0 : found->second;
    }
    NameResolver resolver() {
        return [this](const std::string& name) {
            std::unique_lock lock(mutex_);
            ++asked_[name];
            changed_.wait(lock, [this] { return !hangs_; });
            return answers_[name];
        };
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::vector<std::string>> answers_;
    std::map<std::string, std::size_t> asked_;
    bool hangs_ = false;
};

class DiscoveryTest : public testing::Test {
protected:
    using Urls = std::set<std::string>;

    static config::Backend of_urls(std::vector<std::string> urls) {
        config::Backend backend;
        backend.endpoints.static_urls = std::move(urls);
        return backend;
    }
    static config::Backend of_name(std::string name, Duration refresh = 1h) {
        config::Backend backend;
        backend.endpoints.dns = config::DnsEndpoints{std::move(name), 8000, false, refresh};
        return backend;
    }
    Urls urls() const {
        Urls found;
        for (const auto& endpoint : pool->snapshot()->endpoints) {
            found.insert(endpoint->url);
        }
        return found;
    }
    std::size_t warnings() const {
        const std::lock_guard lock(mutex);
        return messages.size();
    }
    std::unique_ptr<Discovery> start() {
        return std::make_unique<Discovery>(pools, dns.resolver(), [this](const std::string& text) {
            const std::lock_guard lock(mutex);
            messages.push_back(text);
        });
    }

    FakeDns dns;
    routing::PoolDirectory pools;
    std::shared_ptr<routing::Pool> pool = pools.acquire("pool");
    mutable std::mutex mutex;
    std::vector<std::string> messages;
};

TEST_F(DiscoveryTest, PutsLiteralsInPlaceBeforeApplyReturnsAndNeverLooksThemUp) {
    const auto discovery = start();
    discovery->apply({{"pool", of_urls({"http://10.0.0.1:8000", "https://[fd00::1]:8443"})}},
                     /*wait=*/false);
    EXPECT_EQ(urls(), (Urls{"http://10.0.0.1:8000", "https://[fd00::1]:8443"}));
    EXPECT_EQ(dns.asked("10.0.0.1") + dns.asked("fd00::1"), 0U);
}

TEST_F(DiscoveryTest, ResolvesNamesBeforeApplyReturnsWhenAskedToWait) {
    dns.answer("llm.example", {"10.0.0.1", "10.0.0.2"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("llm.example")}}, /*wait=*/true);
    EXPECT_EQ(urls(), (Urls{"http://10.0.0.1:8000", "http://10.0.0.2:8000"}));
    EXPECT_EQ(pool->snapshot()->endpoints.front()->authority, "llm.example:8000")
        << "the backend is addressed by its name";
}

TEST_F(DiscoveryTest, ResolvesNamesSoonAfterApplyOtherwise) {
    dns.answer("llm.example", {"10.0.0.1"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("llm.example")}}, /*wait=*/false);
    EXPECT_TRUE(test::eventually([this] { return urls() == Urls{"http://10.0.0.1:8000"}; }));
}

TEST_F(DiscoveryTest, PutsLiteralsInPlaceAtOnceEvenBesideANameThatHangs) {
    dns.hang(true);
    {
        const auto discovery = start();
        auto mixed = of_name("slow.example");
        mixed.endpoints.static_urls = {"http://10.0.0.1:8000"};
        discovery->apply({{"pool", mixed}}, /*wait=*/false);
        EXPECT_EQ(urls(), Urls{"http://10.0.0.1:8000"});
        dns.hang(false);
    }
}

TEST_F(DiscoveryTest, FollowsANameAsItsAddressesChange) {
    dns.answer("llm.example", {"10.0.0.1"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("llm.example", 1ms)}}, /*wait=*/true);
    dns.answer("llm.example", {"10.0.0.2"});
    EXPECT_TRUE(test::eventually([this] { return urls() == Urls{"http://10.0.0.2:8000"}; }));
}

TEST_F(DiscoveryTest, KeepsTheLastGoodAddressesThroughAnOutageAndWarnsOncePerOutage) {
    dns.answer("llm.example", {"10.0.0.1"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("llm.example", 1ms)}}, /*wait=*/true);
    const auto sees_rounds = [this](std::size_t rounds) {
        const auto before = dns.asked("llm.example");
        return test::eventually([&] { return dns.asked("llm.example") >= before + rounds; });
    };
    EXPECT_EQ(warnings(), 0U);
    for (const std::size_t outage : {1U, 2U}) {
        dns.answer("llm.example", {});
        ASSERT_TRUE(sees_rounds(5));
        EXPECT_EQ(urls(), Urls{"http://10.0.0.1:8000"});
        EXPECT_EQ(warnings(), outage);
        dns.answer("llm.example", {"10.0.0.1"});
        ASSERT_TRUE(sees_rounds(3));
    }
    const std::lock_guard lock(mutex);
    EXPECT_NE(messages.front().find("`pool`"), std::string::npos) << messages.front();
    EXPECT_NE(messages.front().find("`llm.example`"), std::string::npos) << messages.front();
}

TEST_F(DiscoveryTest, KeepsTheLastGoodAddressesOfANameInAUrl) {
    dns.answer("llm.example", {"10.0.0.1"});
    const auto discovery = start();
    const Backends backends{{"pool", of_urls({"http://llm.example:80", "http://10.0.0.9:80"})}};
    discovery->apply(backends, /*wait=*/true);
    dns.answer("llm.example", {});
    discovery->apply(backends, /*wait=*/true);
    EXPECT_EQ(urls(), (Urls{"http://10.0.0.1:80", "http://10.0.0.9:80"}));
}

TEST_F(DiscoveryTest, ForgetsTheAddressesOfANameThatIsNoLongerConfigured) {
    dns.answer("old.example", {"10.0.0.1"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("old.example")}}, /*wait=*/true);
    discovery->apply({{"pool", of_name("new.example")}}, /*wait=*/true);
    EXPECT_EQ(urls(), Urls{}) << "the new name has no answer yet, and the old one's is not its";
}

TEST_F(DiscoveryTest, TakesNoMetadataAddressFromANameButTrustsLocalhost) {
    dns.answer("llm.example", {"169.254.169.254", "127.0.0.1", "10.0.0.1"});
    dns.answer("localhost", {"127.0.0.1"});
    const auto discovery = start();
    discovery->apply({{"pool", of_name("llm.example")}}, /*wait=*/true);
    EXPECT_EQ(urls(), Urls{"http://10.0.0.1:8000"});
    discovery->apply({{"pool", of_urls({"http://llm.example:80"})}}, /*wait=*/true);
    EXPECT_EQ(urls(), Urls{"http://10.0.0.1:80"});
    discovery->apply({{"pool", of_name("localhost")}}, /*wait=*/true);
    EXPECT_EQ(urls(), Urls{"http://127.0.0.1:8000"});
    discovery->apply({{"pool", of_urls({"http://127.0.0.1:81"})}}, /*wait=*/true);
    EXPECT_EQ(urls(), Urls{"http://127.0.0.1:81"}) << "literals of our own document are trusted";
}

TEST_F(DiscoveryTest, ALookUpThatWasUnderWayDoesNotUndoAReload) {
    dns.answer("slow.example", {"10.0.0.1"});
    dns.hang(true);
    {
        const auto discovery = start();
        discovery->apply({{"pool", of_name("slow.example")}}, /*wait=*/false);
        ASSERT_TRUE(test::eventually([this] { return dns.asked("slow.example") == 1; }));
        discovery->apply({{"pool", of_urls({"http://10.0.0.9:80"})}}, /*wait=*/false);
        EXPECT_EQ(urls(), Urls{"http://10.0.0.9:80"});
        dns.hang(false);
    }  // ends the thread, after what it was doing
    EXPECT_EQ(urls(), Urls{"http://10.0.0.9:80"});
}

TEST_F(DiscoveryTest, ASlowLookUpDoesNotHoldUpAReload) {
    dns.hang(true);
    const auto other = pools.acquire("other");
    {
        const auto discovery = start();
        discovery->apply({{"pool", of_name("slow.example")}}, /*wait=*/false);
        ASSERT_TRUE(test::eventually([this] { return dns.asked("slow.example") == 1; }));
        discovery->apply(
            {{"pool", of_name("slow.example")}, {"other", of_urls({"http://10.0.0.9:80"})}},
            /*wait=*/false);
        EXPECT_EQ(other->snapshot()->endpoints.size(), 1U);
        dns.hang(false);
    }
}

}  // namespace
}  // namespace millrace::gateway
