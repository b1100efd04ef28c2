// Remembers which endpoint holds a stored response, so that follow-ups reach it: response id →
// (model, endpoint, principal), least recently used first out, 100 000 entries, 1 h after the last
// touch.
//
// A miss and a foreign principal look the same to the caller (nothing), so that ids cannot be
// probed. Entries share their model, endpoint and principal strings. Thread-safety: all calls are
// safe from any thread (16 shards, a mutex each); only the Responses API touches it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"

namespace millrace::openai {

struct ResponseOwner {
    std::string model;
    std::string endpoint;
    std::string principal;
};

class ResponseIds {
public:
    static constexpr std::size_t kDefaultCapacity = 100'000;
    static constexpr Duration kDefaultLifetime = std::chrono::hours(1);
    static constexpr std::size_t kMaxIdLength = 256;

    explicit ResponseIds(std::size_t capacity = kDefaultCapacity,
                         Duration lifetime = kDefaultLifetime);
    ResponseIds(const ResponseIds&) = delete;
    ResponseIds& operator=(const ResponseIds&) = delete;
    ~ResponseIds();

    /// Inserts or replaces. Ids that are empty or over 256 bytes are ignored.
    void remember(std::string_view id, const ResponseOwner& owner, Instant now);
    /// The owner, if it is alive and belongs to `principal`; touches it.
    std::optional<ResponseOwner> find(std::string_view id, std::string_view principal, Instant now);
    /// After a successful DELETE.
    void forget(std::string_view id);
    std::size_t size() const;

private:
    struct Shard;
    Shard& shard_of(std::string_view id) const;

    std::unique_ptr<Shard[]> shards_;
    std::size_t shard_capacity_;
    Duration lifetime_;
};

}  // namespace millrace::openai
