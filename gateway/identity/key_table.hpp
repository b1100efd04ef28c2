// All API keys of one configuration snapshot: digest → key id and tenant.
//
// The table is keyed by HMAC-SHA-256(pepper, whole token), so a key of any form can be imported,
// and a reader of the table (or of a core dump) learns no key. The digest is unknown to a caller
// who lacks the pepper, so the time of the hash look-up says nothing; the final comparison is
// constant-time all the same. Thread-safety: immutable after build(); shared between threads as
// shared_ptr<const KeyTable>.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/secret.hpp"
#include "gateway/identity/digest.hpp"
#include "gateway/identity/key_file.hpp"

namespace millrace::gateway {

/// Gives the metric id of a tenant; called while the table is built, never on the request path.
using TenantIds = std::function<std::uint32_t(std::string_view tenant)>;

class KeyTable {
public:
    struct Entry {
        KeyRecord record;
        std::uint32_t tenant_metric = 0;
    };

    /// `file.problems` must be empty: the caller has refused such a file already.
    static std::shared_ptr<const KeyTable> build(KeyFile file, const Secret& pepper,
                                                 const TenantIds& tenant_ids);

    /// The entry of that token whatever its state, or nullptr.
    const Entry* find(std::string_view token) const;

    std::size_t size() const { return entries_.size(); }

private:
    struct PrefixHash {
        std::size_t operator()(const KeyDigest& digest) const;
    };
    struct ConstantTimeEqual {
        bool operator()(const KeyDigest& a, const KeyDigest& b) const;
    };

    explicit KeyTable(const Secret& pepper) : digester_(pepper) {}

    TokenDigester digester_;
    std::unordered_map<KeyDigest, Entry, PrefixHash, ConstantTimeEqual> entries_;
};

}  // namespace millrace::gateway
