// The top-level keys of a request body that the gateway reads. Thread-safety: constants and pure
// functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::openai {

enum BodyKey : std::uint8_t {
    kModel,
    kStream,
    kStreamOptions,
    kMaxTokens,
    kMaxCompletionTokens,
    kMaxOutputTokens,
    kN,
    kStore,
    kBackground,
    kPreviousResponseId,
    kTools,
    kMessages,
    kPrompt,
    kInput,
    kInstructions,
    kSystem,
    kCacheSalt,
    kKeyCount
};

/// The BodyKey that `raw` spells, which stands between the quotes of a JSON text and may hold
/// escapes; kKeyCount = none.
std::uint8_t find_body_key(std::string_view raw);

/// Of one that find_body_key() gave.
std::string_view name_of(std::uint8_t key);

}  // namespace millrace::openai
