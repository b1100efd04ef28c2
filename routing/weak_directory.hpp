// WeakDirectory: what catalogs share by name. Weak, so that it survives as long as one catalog
// after the other names it, and ends with the last. Thread-safety: any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace millrace::routing {

template <class T>
class WeakDirectory {
public:
    /// The one of that name, made if there is none.
    std::shared_ptr<T> acquire(std::string_view name) {
        const std::lock_guard lock(mutex_);
        if (const auto found = items_.find(name); found != items_.end()) {
            if (auto item = found->second.lock()) {
                return item;
            }
        }
        auto item = std::make_shared<T>();
        items_.insert_or_assign(std::string(name), item);
        // Sweeping at every doubling keeps ten thousand names linear.
        if (items_.size() >= sweep_at_) {
            std::erase_if(items_, [](const auto& entry) { return entry.second.expired(); });
            sweep_at_ = std::max(kFirstSweep, items_.size() * 2);
        }
        return item;
    }

private:
    static constexpr std::size_t kFirstSweep = 64;

    std::mutex mutex_;
    std::size_t sweep_at_ = kFirstSweep;
    std::map<std::string, std::weak_ptr<T>, std::less<>> items_;
};

}  // namespace millrace::routing
