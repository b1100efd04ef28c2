// A final message that the model goes on with (vLLM's `continue_final_message`): what the message
// holds of the token sequence, and so where a continued answer begins. Pure; thread-safety: pure
// functions over views.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::vllm_sim {

/// The last element of a raw `messages` array.
struct FinalMessage {
    std::string text;  ///< a string, or the text parts one behind the other; of assistants only
    std::size_t earlier_bytes = 0;  ///< of the raw array without this message and its comma
};

FinalMessage final_message_of(std::string_view messages);

struct Continuation {
    std::uint32_t begin = 0;  ///< index of the first token to generate
    std::uint32_t held = 0;   ///< tokens of the message
};

/// What follows `text` in the sequence `seed`. The text is whole tokens in order, or other text
/// with the sequence from its first token on behind it; anything else (a cut token, a gap, a
/// repetition, another seed) begins at token 0, so that a reader of the answer sees the mistake.
/// Text outside the sequence counts as the prompt does.
Continuation continue_after(std::string_view text, std::uint64_t seed);

}  // namespace millrace::vllm_sim
