// Tells when files change, including Kubernetes' mounted ConfigMaps and Secrets (which swap a
// symlink).
//
// inotify watches the directories (of the path as given and of what it resolves to), because an
// atomic replacement never touches the old file. An event only leads to a look: the callback runs
// iff a file's identity, size or times differ, so unrelated files in the same directory cost
// nothing. Events within `settle` are one change. Files are also looked at every `poll`, which is
// all there is where inotify is unavailable or blind (network mounts). Thread-safety: the callback
// runs on the watch's own thread; replace() and destruction from any other thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::gateway {

struct WatchOptions {
    Duration settle = std::chrono::milliseconds(100);
    Duration poll = std::chrono::seconds(5);
    bool use_inotify = true;
};

class FileWatch {
public:
    /// A path that is a directory is watched for entries that come and go. Missing files count once
    /// they appear.
    FileWatch(std::vector<std::string> paths, std::function<void()> changed,
              WatchOptions options = {});
    FileWatch(const FileWatch&) = delete;
    FileWatch& operator=(const FileWatch&) = delete;
    /// Stops the thread; the callback does not run after this returns.
    ~FileWatch();

    /// Watches these instead; the look at what has changed since the last one is not lost for paths
    /// in both lists.
    void replace(std::vector<std::string> paths);

private:
    class Worker;
    std::unique_ptr<Worker> worker_;
};

}  // namespace millrace::gateway
