#include "gateway/adapters/watch.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>

#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using test::TempDir;

/// Counts callbacks, and waits for them without sleeping.
class Counter {
public:
    std::function<void()> callback() {
        return [this] {
            const std::lock_guard lock(mutex_);
            ++count_;
            changed_.notify_all();
        };
    }
    /// True once the count has reached `wanted`; false after ten seconds.
    bool reaches(int wanted) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 10s, [&] { return count_ >= wanted; });
    }
    int count() {
        const std::lock_guard lock(mutex_);
        return count_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

// With inotify a change must not need the poll, so that one is out of reach; and the other way
// round.
constexpr WatchOptions kEvents{.settle = 10ms, .poll = 1h};
constexpr WatchOptions kPolling{.settle = 10ms, .poll = 10ms, .use_inotify = false};

class Watch : public testing::TestWithParam<WatchOptions> {
protected:
    TempDir directory;
    Counter counter;
};

TEST_P(Watch, SeesAFileRewrittenInPlaceReplacedDeletedAndBack) {
    const auto file = directory.write("config.yaml", "one");
    FileWatch watch({file}, counter.callback(), GetParam());
    directory.write("config.yaml", "in place");
    EXPECT_TRUE(counter.reaches(1));
    fs::rename(directory.write("config.yaml.tmp", "replaced"), file);
    EXPECT_TRUE(counter.reaches(2));
    fs::remove(file);
    EXPECT_TRUE(counter.reaches(3));
    directory.write("config.yaml", "back");
    EXPECT_TRUE(counter.reaches(4));
}

TEST_P(Watch, SeesTheSymlinkSwapOfAKubernetesVolume) {
    const auto volume = [&](const std::string& name, const std::string& contents) {
        fs::create_directory(directory.path() / name);
        directory.write(name + "/config.yaml", contents);
    };
    const auto swap = [&](const std::string& to) {
        fs::create_directory_symlink(to, directory.path() / "..data_tmp");
        fs::rename(directory.path() / "..data_tmp", directory.path() / "..data");
    };
    volume("..2026_01", "one");
    swap("..2026_01");
    fs::create_symlink("..data/config.yaml", directory.path() / "config.yaml");

    FileWatch watch({(directory.path() / "config.yaml").string()}, counter.callback(), GetParam());
    volume("..2026_02", "two");
    swap("..2026_02");
    EXPECT_TRUE(counter.reaches(1));
    fs::remove_all(directory.path() / "..2026_01");
    volume("..2026_03", "three");
    swap("..2026_03");
    EXPECT_TRUE(counter.reaches(2));
}

TEST_P(Watch, FollowsALinkIntoAnotherDirectory) {
    fs::create_directory(directory.path() / "real");
    directory.write("real/tls.crt", "one");
    fs::create_directory(directory.path() / "linked");
    fs::create_symlink(directory.path() / "real/tls.crt", directory.path() / "linked/tls.crt");
    FileWatch watch({(directory.path() / "linked/tls.crt").string()}, counter.callback(),
                    GetParam());
    directory.write("real/tls.crt", "longer");
    EXPECT_TRUE(counter.reaches(1));
}

TEST_P(Watch, SeesFilesAppearInAWatchedDirectory) {
    fs::create_directory(directory.path() / "routes");
    FileWatch watch({(directory.path() / "routes").string()}, counter.callback(), GetParam());
    directory.write("routes/new.yaml", "route");
    EXPECT_TRUE(counter.reaches(1));
    fs::remove(directory.path() / "routes/new.yaml");
    EXPECT_TRUE(counter.reaches(2));
}

TEST_P(Watch, WatchesOtherFilesAfterAReplacement) {
    const auto first = directory.write("first", "1");
    const auto second = directory.write("second", "2");
    FileWatch watch({first}, counter.callback(), GetParam());
    watch.replace({second});
    directory.write("second", "changed");
    EXPECT_TRUE(counter.reaches(1));
}

INSTANTIATE_TEST_SUITE_P(With, Watch, testing::Values(kEvents, kPolling),
                         [](const auto& tested) -> std::string {
                             return tested.param.use_inotify ? "Events" : "Polling";
                         });

class WatchEvents : public Watch {};
INSTANTIATE_TEST_SUITE_P(Only, WatchEvents, testing::Values(kEvents),
                         [](const auto&) -> std::string { return "Events"; });

TEST_P(WatchEvents, MakesOneChangeOfABurst) {
    const auto file = directory.write("config.yaml", "0");
    FileWatch watch({file, (directory.path() / "other").string()}, counter.callback(),
                    {.settle = 200ms, .poll = 1h});
    for (int i = 0; i < 50; ++i) {
        directory.write("config.yaml", std::string(static_cast<std::size_t>(i + 2), 'x'));
        directory.write("other", std::to_string(i));
    }
    EXPECT_TRUE(counter.reaches(1));
    EXPECT_EQ(counter.count(), 1);
}

TEST_P(WatchEvents, IgnoresOtherFilesOfTheDirectory) {
    const auto file = directory.write("config.yaml", "0");
    FileWatch watch({file}, counter.callback(), GetParam());
    for (int i = 0; i < 20; ++i) {
        directory.write("access.log", std::string(static_cast<std::size_t>(i), 'x'));
    }
    directory.write("config.yaml", "changed");
    EXPECT_TRUE(counter.reaches(1));
    EXPECT_EQ(counter.count(), 1);
}

TEST_P(WatchEvents, KeepsAChangeThatAReplacementOverlaps) {
    const auto file = directory.write("config.yaml", "0");
    FileWatch watch({file}, counter.callback(), {.settle = 1ms, .poll = 10ms});
    directory.write("config.yaml", "changed");
    watch.replace({file, (directory.path() / "more").string()});
    EXPECT_TRUE(counter.reaches(1));
}

TEST_P(WatchEvents, EndsAtOnceWhileItWaits) {
    const auto start = std::chrono::steady_clock::now();
    {
        const FileWatch watch({(directory.path() / "f").string()}, counter.callback(), kEvents);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
    EXPECT_EQ(counter.count(), 0);
}

}  // namespace
}  // namespace millrace::gateway
