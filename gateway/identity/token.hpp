// The form of our API keys: `mr_<id>_<secret><crc>`.
//
// `id` is 12 base62 characters and public (it names the key in files and logs), `secret` is 256
// random bits as 43 base62 characters, `crc` is the CRC-32 of everything before it as 6 base62
// characters. The checksum lets tools (and secret scanners) tell a typo from a wrong key without
// the table; the gateway itself accepts keys of any form. Thread-safety: free functions without
// state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "config/base/secret.hpp"

namespace millrace::gateway {

constexpr std::string_view kTokenPrefix = "mr_";
constexpr std::size_t kTokenIdLength = 12;
constexpr std::size_t kTokenSecretLength = 43;
constexpr std::size_t kTokenCrcLength = 6;
constexpr std::size_t kTokenLength =
    kTokenPrefix.size() + kTokenIdLength + 1 + kTokenSecretLength + kTokenCrcLength;

enum class TokenForm : std::uint8_t {
    ours,      ///< our form, checksum right
    mistyped,  ///< starts like ours, but the length, alphabet or checksum is wrong
    foreign,   ///< somebody else's form
};

TokenForm token_form(std::string_view token);

/// The public id inside a token of our form; empty for any other.
std::string_view token_id(std::string_view token);

/// CRC-32 (IEEE 802.3).
std::uint32_t crc32(std::string_view text);

/// A new key as the operator sees it once, and the line that goes into the key file.
struct NewKey {
    Secret token;
    std::string id;
    std::string line;  ///< `id tenant hmac-sha256-hex`, without a line end
};

/// Draws a key from OpenSSL's generator. Fails when the generator does, or when the tenant's name
/// is not acceptable.
Result<NewKey> new_key(std::string_view tenant, const Secret& pepper);

}  // namespace millrace::gateway
