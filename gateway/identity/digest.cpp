#include "gateway/identity/digest.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <atomic>

#include "config/base/assert.hpp"
#include "config/base/percent.hpp"

namespace millrace::gateway {
namespace {

std::atomic<std::uint64_t> next_generation{1};

/// One thread's keyed copy. Duplicating on a change of digester (a reload) costs a microsecond,
/// once.
struct ThreadCopy {
    EVP_MAC_CTX* context = nullptr;
    std::uint64_t generation = 0;

    ThreadCopy() = default;
    ThreadCopy(const ThreadCopy&) = delete;
    ThreadCopy& operator=(const ThreadCopy&) = delete;
    ~ThreadCopy() { EVP_MAC_CTX_free(context); }
};

}  // namespace

TokenDigester::TokenDigester(const Secret& pepper)
    : keyed_(nullptr), generation_(next_generation.fetch_add(1, std::memory_order_relaxed)) {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    keyed_ = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    std::string digest_name = "SHA256";
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name.data(), 0),
        OSSL_PARAM_construct_end()};
    // An empty pepper must still set a key: OpenSSL takes a null pointer as "keep the key".
    static constexpr unsigned char kNothing = 0;
    const auto text = pepper.reveal();
    const auto* key =
        text.empty() ? &kNothing : reinterpret_cast<const unsigned char*>(text.data());
    MILLRACE_ASSERT(keyed_ != nullptr &&
                    EVP_MAC_init(keyed_, key, text.size(), parameters.data()) == 1);
}

TokenDigester::~TokenDigester() {
    EVP_MAC_CTX_free(keyed_);
}

EVP_MAC_CTX* TokenDigester::thread_context() const {
    static thread_local ThreadCopy copy;
    if (copy.generation != generation_) {
        EVP_MAC_CTX_free(copy.context);
        copy.context = EVP_MAC_CTX_dup(keyed_);
        MILLRACE_ASSERT(copy.context != nullptr);
        copy.generation = generation_;
    }
    return copy.context;
}

KeyDigest TokenDigester::digest(std::string_view token) const {
    EVP_MAC_CTX* context = thread_context();
    KeyDigest result{};
    std::size_t written = 0;
    // A null key restarts the context under the key that it has, without hashing the pepper again.
    MILLRACE_ASSERT(EVP_MAC_init(context, nullptr, 0, nullptr) == 1);
    MILLRACE_ASSERT(EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(token.data()),
                                   token.size()) == 1);
    MILLRACE_ASSERT(EVP_MAC_final(context, result.data(), &written, result.size()) == 1);
    MILLRACE_ASSERT(written == result.size());
    return result;
}

std::string to_hex(const KeyDigest& digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(digest.size() * 2);
    for (const auto byte : digest) {
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 15U];
    }
    return text;
}

std::optional<KeyDigest> digest_from_hex(std::string_view text) {
    KeyDigest digest{};
    if (text.size() != digest.size() * 2) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < digest.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        digest[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return digest;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace millrace::gateway
