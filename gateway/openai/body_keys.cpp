#include "gateway/openai/body_keys.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

constexpr std::array<std::string_view, kKeyCount> kKeys{"model",
                                                        "stream",
                                                        "stream_options",
                                                        "max_tokens",
                                                        "max_completion_tokens",
                                                        "max_output_tokens",
                                                        "n",
                                                        "store",
                                                        "background",
                                                        "previous_response_id",
                                                        "tools",
                                                        "messages",
                                                        "prompt",
                                                        "input",
                                                        "instructions",
                                                        "system",
                                                        "cache_salt"};

/// An escape spells one character in at most six bytes, and no key of interest is longer than 21.
constexpr std::size_t kLongestSpelling = 6 * 21;

/// Views are compared by their length first: a foreign key costs a few nanoseconds.
std::uint8_t key_id(std::string_view key) {
    return static_cast<std::uint8_t>(std::ranges::find(kKeys, key) - kKeys.begin());
}

}  // namespace

std::uint8_t find_body_key(std::string_view raw) {
    if (raw.find('\\') == std::string_view::npos) {
        return key_id(raw);
    }
    if (raw.size() > kLongestSpelling) {
        return kKeyCount;
    }
    const auto key = metrics::json_unescape(raw);
    return key ? key_id(*key) : std::uint8_t{kKeyCount};
}

std::string_view name_of(std::uint8_t key) {
    return kKeys[key];
}

}  // namespace millrace::openai
