#include "gateway/identity/key_table.hpp"

#include <openssl/crypto.h>

#include <cstring>
#include <utility>

#include "config/base/assert.hpp"

namespace millrace::gateway {

std::size_t KeyTable::PrefixHash::operator()(const KeyDigest& digest) const {
    // The digest is already uniform: any eight bytes of it are a hash.
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof(hash));
    return hash;
}

bool KeyTable::ConstantTimeEqual::operator()(const KeyDigest& a, const KeyDigest& b) const {
    return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::shared_ptr<const KeyTable> KeyTable::build(KeyFile file, const Secret& pepper,
                                                const TenantIds& tenant_ids) {
    MILLRACE_ASSERT(file.problems.empty());
    // Not make_shared: the constructor is private.
    std::shared_ptr<KeyTable> table(new KeyTable(pepper));
    table->entries_.reserve(file.records.size());
    for (auto& record : file.records) {
        const auto digest = record.digest;
        const std::uint32_t metric = tenant_ids ? tenant_ids(record.tenant) : 0;
        table->entries_.emplace(digest, Entry{std::move(record), metric});
    }
    return table;
}

const KeyTable::Entry* KeyTable::find(std::string_view token) const {
    const auto found = entries_.find(digester_.digest(token));
    return found == entries_.end() ? nullptr : &found->second;
}

}  // namespace millrace::gateway
