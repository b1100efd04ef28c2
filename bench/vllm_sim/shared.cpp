#include "bench/vllm_sim/shared.hpp"

#include <utility>

namespace millrace::vllm_sim {

void LiveSet::insert(const std::string& id) {
    const std::scoped_lock lock(mutex_);
    ++ids_[id];
}

void LiveSet::erase(const std::string& id) {
    const std::scoped_lock lock(mutex_);
    const auto found = ids_.find(id);
    if (found != ids_.end() && --found->second == 0) {
        ids_.erase(found);
    }
}

std::vector<std::string> LiveSet::ids() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [id, count] : ids_) {
        all.insert(all.end(), static_cast<std::size_t>(count), id);
    }
    return all;
}

void ResponseStore::put(const std::string& id, StoredResponse response) {
    const std::scoped_lock lock(mutex_);
    while (responses_.size() >= kCapacity && !order_.empty()) {
        responses_.erase(order_.front());
        order_.pop_front();
    }
    if (responses_.insert_or_assign(id, std::move(response)).second) {
        order_.push_back(id);
    }
}

std::optional<StoredResponse> ResponseStore::find(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    const auto found = responses_.find(id);
    return found == responses_.end() ? std::nullopt : std::optional(found->second);
}

bool ResponseStore::erase(const std::string& id) {
    const std::scoped_lock lock(mutex_);
    std::erase(order_, id);
    return responses_.erase(id) > 0;
}

bool ResponseStore::cancel(const std::string& id, Instant now) {
    const std::scoped_lock lock(mutex_);
    const auto found = responses_.find(id);
    if (found == responses_.end() || !found->second.background || found->second.done_at <= now) {
        return false;
    }
    found->second.cancelled = true;
    return true;
}

}  // namespace millrace::vllm_sim
