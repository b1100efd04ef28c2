#include "gateway/openai/response_ids.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace millrace::openai {
namespace {

constexpr std::size_t kShards = 16;

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
        return std::hash<std::string_view>{}(text);
    }
};

/// Strings that many entries share (a handful of models, endpoints and principals), counted so that
/// they go with their last entry.
class SharedTexts {
public:
    using Texts = std::unordered_map<std::string, std::size_t, TextHash, std::equal_to<>>;
    using Handle = Texts::value_type*;  // nodes do not move

    Handle take(std::string_view text) {
        auto found = texts_.find(text);
        if (found == texts_.end()) {
            found = texts_.emplace(std::string(text), 0).first;
        }
        ++found->second;
        return &*found;
    }
    void give_back(Handle text) {
        if (--text->second == 0) {
            texts_.erase(texts_.find(text->first));
        }
    }

private:
    Texts texts_;
};

struct Entry {
    std::string_view id;  // the key of its node in the index
    SharedTexts::Handle model;
    SharedTexts::Handle endpoint;
    SharedTexts::Handle principal;
    Instant expires;
};

}  // namespace

struct ResponseIds::Shard {
    std::mutex mutex;
    SharedTexts texts;
    std::list<Entry> entries;  // most recently used first
    std::unordered_map<std::string, std::list<Entry>::iterator, TextHash, std::equal_to<>> index;

    void erase(std::list<Entry>::iterator entry) {
        texts.give_back(entry->model);
        texts.give_back(entry->endpoint);
        texts.give_back(entry->principal);
        index.erase(index.find(entry->id));
        entries.erase(entry);
    }
};

ResponseIds::ResponseIds(std::size_t capacity, Duration lifetime)
    : shards_(std::make_unique<Shard[]>(kShards)),
      shard_capacity_(std::max<std::size_t>(1, (capacity + kShards - 1) / kShards)),
      lifetime_(lifetime) {}

ResponseIds::~ResponseIds() = default;

ResponseIds::Shard& ResponseIds::shard_of(std::string_view id) const {
    // The low bits choose the map's bucket; the high ones, well mixed by libstdc++'s murmur, the
    // shard.
    return shards_[static_cast<std::uint64_t>(TextHash{}(id)) >> 60U];
}

void ResponseIds::remember(std::string_view id, const ResponseOwner& owner, Instant now) {
    if (id.empty() || id.size() > kMaxIdLength) {
        return;
    }
    Shard& shard = shard_of(id);
    const std::scoped_lock lock(shard.mutex);
    if (const auto found = shard.index.find(id); found != shard.index.end()) {
        shard.erase(found->second);
    }
    // The least recently used goes first; it is also the one that expires first.
    while (!shard.entries.empty() &&
           (shard.entries.size() >= shard_capacity_ || shard.entries.back().expires <= now)) {
        shard.erase(std::prev(shard.entries.end()));
    }
    shard.entries.push_front(Entry{{},
                                   shard.texts.take(owner.model),
                                   shard.texts.take(owner.endpoint),
                                   shard.texts.take(owner.principal),
                                   now + lifetime_});
    const auto node = shard.index.emplace(std::string(id), shard.entries.begin()).first;
    shard.entries.front().id = node->first;
}

std::optional<ResponseOwner> ResponseIds::find(std::string_view id, std::string_view principal,
                                               Instant now) {
    Shard& shard = shard_of(id);
    const std::scoped_lock lock(shard.mutex);
    const auto found = shard.index.find(id);
    if (found == shard.index.end()) {
        return std::nullopt;
    }
    const auto entry = found->second;
    if (entry->expires <= now) {
        shard.erase(entry);
        return std::nullopt;
    }
    if (entry->principal->first != principal) {
        return std::nullopt;
    }
    entry->expires = now + lifetime_;
    shard.entries.splice(shard.entries.begin(), shard.entries, entry);
    return ResponseOwner{entry->model->first, entry->endpoint->first, entry->principal->first};
}

void ResponseIds::forget(std::string_view id) {
    Shard& shard = shard_of(id);
    const std::scoped_lock lock(shard.mutex);
    if (const auto found = shard.index.find(id); found != shard.index.end()) {
        shard.erase(found->second);
    }
}

std::size_t ResponseIds::size() const {
    std::size_t total = 0;
    for (std::size_t i = 0; i < kShards; ++i) {
        const std::scoped_lock lock(shards_[i].mutex);
        total += shards_[i].entries.size();
    }
    return total;
}

}  // namespace millrace::openai
