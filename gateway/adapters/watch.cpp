#include "gateway/adapters/watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

namespace millrace::gateway {
namespace {

/// What tells one state of a file from another; of what a symlink leads to, not of the link.
struct Fingerprint {
    bool exists = false;
    std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t> identity{};
    bool operator==(const Fingerprint&) const = default;
};

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Fingerprint fingerprint_of(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
        return {};
    }
    return {true,
            {info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim),
             nanoseconds(info.st_ctim)}};
}

/// The directories in which something must happen before `path` can lead to other contents.
void add_directories_of(const std::string& path, std::set<std::string>& directories) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const fs::path given = fs::absolute(path, ignored);
    directories.insert(given.parent_path());
    if (fs::is_directory(given, ignored)) {
        directories.insert(given);
    }
    const fs::path real = fs::canonical(given, ignored);
    if (!ignored && real != given) {
        directories.insert(real.parent_path());
    }
}

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                  IN_MOVED_TO | IN_ATTRIB | IN_MODIFY | IN_DELETE_SELF |
                                  IN_MOVE_SELF;
/// A directory in which something is written without pause is looked at after this many settle
/// times all the same.
constexpr int kMaxSettles = 10;

}  // namespace

class FileWatch::Worker {
public:
    Worker(std::vector<std::string> paths, std::function<void()> changed, WatchOptions options)
        : changed_(std::move(changed)),
          options_(options),
          wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (options_.use_inotify) {
            inotify_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        }
        replace(std::move(paths));
        thread_ = std::thread([this] { run(); });
    }

    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    ~Worker() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake();
        thread_.join();
        ::close(wake_);
        if (inotify_ >= 0) {
            ::close(inotify_);
        }
    }

    void replace(std::vector<std::string> paths) {
        const std::lock_guard lock(mutex_);
        std::map<std::string, Fingerprint> next;
        for (auto& path : paths) {
            next.emplace(std::move(path), Fingerprint{});
        }
        // Armed before the look, so that a change between the two is an event.
        seen_.swap(next);
        arm();
        for (auto& [path, known] : seen_) {
            const auto before = next.find(path);
            known = before != next.end() ? before->second : fingerprint_of(path);
        }
    }

private:
    void wake() {
        const std::uint64_t one = 1;
        // Can only fail when the counter is full, and then the thread is awake already.
        [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
    }

    /// Watches the right directories. Adding one that is watched already changes nothing; a watch
    /// too many only costs a look, so those of former paths go away when they are no longer named.
    /// Call with the lock.
    void arm() {
        if (inotify_ < 0) {
            return;
        }
        std::set<std::string> wanted;
        for (const auto& [path, fingerprint] : seen_) {
            add_directories_of(path, wanted);
        }
        std::map<std::string, int> next;
        for (const auto& directory : wanted) {
            const int id = ::inotify_add_watch(inotify_, directory.c_str(), kEvents | IN_ONLYDIR);
            if (id >= 0) {
                next.emplace(directory, id);
            }
        }
        for (const auto& [directory, id] : watches_) {
            if (!next.contains(directory)) {
                ::inotify_rm_watch(inotify_, id);
            }
        }
        watches_ = std::move(next);
    }

    /// True iff some path differs from the last look, which this becomes.
    bool look() {
        const std::lock_guard lock(mutex_);
        arm();
        bool differs = false;
        for (auto& [path, known] : seen_) {
            if (const auto current = fingerprint_of(path); current != known) {
                known = current;
                differs = true;
            }
        }
        return differs;
    }

    bool stopping() {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

    /// Waits for an event for at most `limit`. True iff there was one.
    bool wait(Duration limit) {
        std::array<pollfd, 2> fds{pollfd{wake_, POLLIN, 0}, pollfd{inotify_, POLLIN, 0}};
        const auto milliseconds =
            std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
        // poll() skips a negative descriptor, which is what inotify_ is when it is unavailable.
        if (::poll(fds.data(), fds.size(), static_cast<int>(milliseconds)) <= 0) {
            return false;
        }
        alignas(inotify_event) std::array<char, 4096> events{};
        while (inotify_ >= 0 && ::read(inotify_, events.data(), events.size()) > 0) {
        }
        return true;
    }

    void run() {
        while (!stopping()) {
            if (wait(options_.poll)) {
                const auto latest =
                    std::chrono::steady_clock::now() + kMaxSettles * options_.settle;
                while (!stopping() && std::chrono::steady_clock::now() < latest &&
                       wait(options_.settle)) {
                }
            }
            if (!stopping() && look()) {
                changed_();
            }
        }
    }

    std::function<void()> changed_;
    WatchOptions options_;
    int wake_;
    int inotify_ = -1;
    std::map<std::string, int> watches_;  ///< directory → inotify's id
    std::mutex mutex_;                    ///< guards what follows, and watches_
    std::map<std::string, Fingerprint> seen_;
    bool stopping_ = false;
    std::thread thread_;
};

FileWatch::FileWatch(std::vector<std::string> paths, std::function<void()> changed,
                     WatchOptions options)
    : worker_(std::make_unique<Worker>(std::move(paths), std::move(changed), options)) {}

FileWatch::~FileWatch() = default;

void FileWatch::replace(std::vector<std::string> paths) {
    worker_->replace(std::move(paths));
}

}  // namespace millrace::gateway
