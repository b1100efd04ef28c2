#include "gateway/identity/token.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <span>

#include "gateway/identity/digest.hpp"
#include "gateway/identity/key_file.hpp"

namespace millrace::gateway {
namespace {

constexpr std::string_view kAlphabet =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr unsigned kBase = 62;

constexpr auto kCrcTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1U) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
        }
        table[i] = value;
    }
    return table;
}();

bool is_base62(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return kAlphabet.contains(c); });
}

/// A big-endian number in base 62 with a fixed count of digits. Consumes `number`.
std::string to_base62(std::span<std::uint8_t> number, std::size_t digits) {
    std::string text(digits, '0');
    for (std::size_t i = digits; i-- > 0;) {
        unsigned remainder = 0;
        for (auto& byte : number) {
            const unsigned value = remainder * 256 + byte;
            byte = static_cast<std::uint8_t>(value / kBase);
            remainder = value % kBase;
        }
        text[i] = kAlphabet[remainder];
    }
    return text;
}

std::string checksum_of(std::string_view text) {
    const std::uint32_t crc = crc32(text);
    std::array<std::uint8_t, 4> bytes{
        static_cast<std::uint8_t>(crc >> 24U), static_cast<std::uint8_t>(crc >> 16U),
        static_cast<std::uint8_t>(crc >> 8U), static_cast<std::uint8_t>(crc)};
    return to_base62(bytes, kTokenCrcLength);
}

Result<std::string> random_base62(std::size_t bytes, std::size_t digits) {
    std::array<std::uint8_t, 32> buffer{};
    const auto random = std::span(buffer).first(bytes);
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
        return failure(Errc::internal, Origin::internal,
                       "OpenSSL's random generator failed, so no key was made.");
    }
    return to_base62(random, digits);
}

}  // namespace

std::uint32_t crc32(std::string_view text) {
    std::uint32_t value = 0xFFFFFFFFU;
    for (const char c : text) {
        value = kCrcTable[(value ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (value >> 8U);
    }
    return value ^ 0xFFFFFFFFU;
}

TokenForm token_form(std::string_view token) {
    if (!token.starts_with(kTokenPrefix)) {
        return TokenForm::foreign;
    }
    if (token.size() != kTokenLength) {
        return TokenForm::mistyped;
    }
    const auto id = token.substr(kTokenPrefix.size(), kTokenIdLength);
    const auto separator = token[kTokenPrefix.size() + kTokenIdLength];
    const auto rest = token.substr(kTokenPrefix.size() + kTokenIdLength + 1);
    if (!is_base62(id) || separator != '_' || !is_base62(rest)) {
        return TokenForm::mistyped;
    }
    const auto body = token.substr(0, kTokenLength - kTokenCrcLength);
    return token.substr(body.size()) == checksum_of(body) ? TokenForm::ours : TokenForm::mistyped;
}

std::string_view token_id(std::string_view token) {
    return token_form(token) == TokenForm::ours ? token.substr(kTokenPrefix.size(), kTokenIdLength)
                                                : std::string_view();
}

Result<NewKey> new_key(std::string_view tenant, const Secret& pepper) {
    if (!is_key_name(tenant)) {
        return failure(
            Errc::bad_field, Origin::downstream,
            "The tenant's name must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / - and "
            "begin with a letter or digit.");
    }
    // 9 bytes are 72 bits, a little more than 12 base62 digits hold; the lost top bits cost nothing
    // but collisions at one in 62^12.
    auto id = random_base62(9, kTokenIdLength);
    auto secret = random_base62(32, kTokenSecretLength);
    if (!id || !secret) {
        return std::unexpected((!id ? id : secret).error());
    }
    std::string token(kTokenPrefix);
    token.reserve(kTokenLength);
    token.append(*id).append("_").append(*secret);
    token += checksum_of(token);
    OPENSSL_cleanse(secret->data(), secret->size());

    NewKey key;
    key.line = *id + ' ' + std::string(tenant) + ' ' + to_hex(TokenDigester(pepper).digest(token));
    key.id = std::move(*id);
    key.token = Secret(std::move(token));
    return key;
}

}  // namespace millrace::gateway
