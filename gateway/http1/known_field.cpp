#include "gateway/http1/known_field.hpp"

#include <array>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::http1 {
namespace {

enum Flags : unsigned { kPlain = 0, kSingleton = 1, kHopByHop = 2, kProtected = 4 };

struct Spec {
    KnownField field;
    std::string_view name;
    unsigned flags;
};

// In the order of the enum.
constexpr std::array<Spec, kKnownFieldCount> kSpecs{{
    {KnownField::none, "", kPlain},
    {KnownField::host, "host", kSingleton | kProtected},
    {KnownField::content_length, "content-length", kSingleton | kProtected},
    {KnownField::transfer_encoding, "transfer-encoding", kSingleton | kProtected},
    {KnownField::expect, "expect", kSingleton},
    {KnownField::connection, "connection", kHopByHop},
    {KnownField::keep_alive, "keep-alive", kHopByHop},
    {KnownField::proxy_connection, "proxy-connection", kHopByHop},
    {KnownField::proxy_authenticate, "proxy-authenticate", kHopByHop},
    {KnownField::proxy_authorization, "proxy-authorization", kSingleton | kHopByHop},
    {KnownField::te, "te", kHopByHop},
    {KnownField::trailer, "trailer", kHopByHop},
    {KnownField::upgrade, "upgrade", kHopByHop},
    {KnownField::http2_settings, "http2-settings", kSingleton | kHopByHop},
    {KnownField::authorization, "authorization", kSingleton | kProtected},
    {KnownField::x_api_key, "x-api-key", kSingleton | kProtected},
    {KnownField::cookie, "cookie", kProtected},
    {KnownField::content_type, "content-type", kSingleton | kProtected},
    {KnownField::content_encoding, "content-encoding", kSingleton | kProtected},
    {KnownField::accept, "accept", kPlain},
    {KnownField::accept_encoding, "accept-encoding", kPlain},
    {KnownField::x_model_id, "x-model-id", kSingleton | kProtected},
    {KnownField::x_request_id, "x-request-id", kSingleton | kProtected},
    {KnownField::x_client_request_id, "x-client-request-id", kSingleton},
    {KnownField::x_stainless_retry_count, "x-stainless-retry-count", kSingleton},
    {KnownField::traceparent, "traceparent", kSingleton | kProtected},
    {KnownField::tracestate, "tracestate", kProtected},
    {KnownField::user_agent, "user-agent", kPlain},
    {KnownField::anthropic_version, "anthropic-version", kSingleton},
    {KnownField::forwarded, "forwarded", kProtected},
    {KnownField::via, "via", kProtected},
    {KnownField::x_forwarded_for, "x-forwarded-for", kProtected},
    {KnownField::x_forwarded_host, "x-forwarded-host", kProtected},
    {KnownField::x_forwarded_port, "x-forwarded-port", kProtected},
    {KnownField::x_forwarded_prefix, "x-forwarded-prefix", kProtected},
    {KnownField::x_forwarded_proto, "x-forwarded-proto", kProtected},
    {KnownField::x_forwarded_client_cert, "x-forwarded-client-cert", kProtected},
    {KnownField::x_real_ip, "x-real-ip", kProtected},
    {KnownField::server, "server", kPlain},
    {KnownField::date, "date", kPlain},
    {KnownField::set_cookie, "set-cookie", kProtected},
    {KnownField::location, "location", kPlain},
    {KnownField::retry_after, "retry-after", kPlain},
    {KnownField::cache_control, "cache-control", kPlain},
    {KnownField::www_authenticate, "www-authenticate", kProtected},
}};

constexpr std::size_t kShortestName = 2;
constexpr std::size_t kLongestName = 23;
constexpr unsigned kSlotBits = 9;

/// Length and three characters tell all known names apart; `| 0x20` folds case and leaves digits
/// and `-` alone.
constexpr std::uint32_t key_of(std::string_view name) {
    const std::size_t size = name.size();
    const auto at = [&](std::size_t i) {
        return (static_cast<unsigned char>(name[i]) | 0x20U) & 0xffU;
    };
    return static_cast<std::uint32_t>(size) | at(0) << 8U |
           at(size - (size < 4 ? size : 4)) << 16U | at(size - 1) << 24U;
}

constexpr std::uint32_t slot_of(std::uint32_t key, std::uint32_t multiplier) {
    return (key * multiplier) >> (32U - kSlotBits);
}

struct Lookup {
    std::uint32_t multiplier = 0;
    std::uint8_t slots[1U << kSlotBits] = {};
};

consteval Lookup make_lookup() {
    for (std::uint32_t multiplier = 0x9e3779b1U;; multiplier += 0x61c88646U) {
        Lookup lookup{.multiplier = multiplier};
        bool unique = true;
        for (std::size_t i = 1; i < kSpecs.size() && unique; ++i) {
            auto& slot = lookup.slots[slot_of(key_of(kSpecs[i].name), multiplier)];
            unique = slot == 0;
            slot = static_cast<std::uint8_t>(i);
        }
        if (unique) {
            return lookup;
        }
    }
}

constexpr Lookup kLookup = make_lookup();

consteval bool specs_are_in_order() {
    for (std::size_t i = 0; i < kSpecs.size(); ++i) {
        if (static_cast<std::size_t>(kSpecs[i].field) != i ||
            kSpecs[i].name.size() > kLongestName) {
            return false;
        }
    }
    return true;
}
static_assert(specs_are_in_order());

#if defined(__SSE2__)
/// A lower-case name padded so that two SSE registers cover it, and its size: one cache line holds
/// two.
struct alignas(32) PaddedName {
    char text[31] = {};
    std::uint8_t size = 0;
};

struct PaddedNames {
    PaddedName at[kKnownFieldCount] = {};
};

consteval PaddedNames pad_names() {
    PaddedNames padded;
    for (std::size_t i = 0; i < kSpecs.size(); ++i) {
        const auto name = kSpecs[i].name;
        padded.at[i].size = static_cast<std::uint8_t>(name.size());
        for (std::size_t at = 0; at < name.size(); ++at) {
            padded.at[i].text[at] = name[at];
        }
    }
    return padded;
}

constexpr PaddedNames kPadded = pad_names();

/// Bit i is set if `received[i]`, with its case folded, is `expected[i]`, for 16 bytes. For token
/// characters `| 0x20` cannot make a letter, digit or `-` of anything else.
unsigned same_bytes(const char* received, const char* expected) {
    const __m128i folded = _mm_or_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(received)),
                                        _mm_set1_epi8(0x20));
    const __m128i wanted = _mm_loadu_si128(reinterpret_cast<const __m128i*>(expected));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(folded, wanted)));
}

/// Both have `size` bytes, and 16 bytes of `received` can be loaded.
bool same_name(const char* received, const PaddedName& expected, std::size_t size) {
    constexpr unsigned kAll = 0xffffU;
    if (size <= 16) {
        return (same_bytes(received, expected.text) | (kAll << size & kAll)) == kAll;
    }
    return (same_bytes(received, expected.text) &
            same_bytes(received + size - 16, expected.text + size - 16)) == kAll;
}
#endif

/// The only known field that `name` can be.
std::uint8_t candidate(std::string_view name) {
    return kLookup.slots[slot_of(key_of(name), kLookup.multiplier)];
}

bool has_flag(KnownField field, unsigned flag) {
    return (kSpecs[static_cast<std::size_t>(field)].flags & flag) != 0;
}

}  // namespace

KnownField known_field(std::string_view name) {
    if (name.size() < kShortestName || name.size() > kLongestName) {
        return KnownField::none;
    }
    const auto& spec = kSpecs[candidate(name)];
    return equals_ignoring_case(name, spec.name) ? spec.field : KnownField::none;
}

KnownField known_field(std::string_view name, const char* readable_end) {
#if defined(__SSE2__)
    if (readable_end - name.data() >= 16) {
        if (name.size() < kShortestName || name.size() > kLongestName) {
            return KnownField::none;
        }
        const auto at = candidate(name);
        const auto& expected = kPadded.at[at];
        const bool same =
            expected.size == name.size() && same_name(name.data(), expected, name.size());
        return same ? static_cast<KnownField>(at) : KnownField::none;
    }
#else
    static_cast<void>(readable_end);
#endif
    return known_field(name);
}

std::string_view to_string(KnownField field) {
    return kSpecs[static_cast<std::size_t>(field)].name;
}

bool is_singleton(KnownField field) {
    return has_flag(field, kSingleton);
}

bool is_hop_by_hop(KnownField field) {
    return has_flag(field, kHopByHop);
}

bool is_protected(KnownField field) {
    return has_flag(field, kProtected);
}

}  // namespace millrace::http1
