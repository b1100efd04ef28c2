// The facts that routing needs from a JSON request body, found while it arrives, without a
// document.
//
// Finds top-level keys only; nothing else is built. Duplicates of the keys it reads are refused
// (two readers would pick different ones), escaped key names are understood, values of those keys
// are checked. Feed the buffer as it grows; the scan resumes where it stopped. To yield inside
// large bodies, feed prefixes of at most 1 MiB more each time. Thread-safety: none; one per
// request. The facts own their strings, the spans are offsets into the body.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "metrics/tokens/json_scanner.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {

using metrics::Span;

/// `stream_options` as the client wrote it, with what an edit needs.
struct StreamOptions {
    Span value;              ///< the whole value
    bool is_object = false;  ///< false: null
    bool empty = false;      ///< an object without members
    bool include_usage = false;
    bool continuous_usage = false;
    std::optional<Span> include_usage_value;     ///< value of `include_usage`, if present
    std::optional<Span> continuous_usage_value;  ///< value of `continuous_usage_stats`, if present
};

struct RequestFields {
    std::optional<std::string> model;  ///< absent, or null in the body (then model_value is set)
    std::optional<Span> model_value;   ///< the value with its quotes
    bool stream = false;
    std::optional<StreamOptions> stream_options;
    std::optional<std::uint64_t> max_tokens;
    std::optional<std::uint64_t> max_completion_tokens;
    std::optional<std::uint64_t> max_output_tokens;  ///< the Responses API's name
    std::optional<std::uint64_t> n;
    std::optional<bool> store;
    bool background = false;
    std::optional<std::string> previous_response_id;
    bool has_tools = false;  ///< a non-empty `tools` array
    bool has_images =
        false;  ///< a string "image_url" or "input_image" somewhere (a hint, not a proof)
    std::uint64_t prompt_bytes =
        0;  ///< size of messages, prompt, input, instructions, system and tools
    /// Values that make up the prompt, in the order in which engines put them together:
    /// cache_salt, tools, system, instructions, then messages, prompt or input. Length 0 = absent.
    std::array<Span, 5> prompt_parts{};
    std::size_t object_start = 0;  ///< just behind the `{`
    bool empty_object = false;
};

/// What the client asked to see of usage in its stream.
enum class ShowUsage : std::uint8_t { nothing, final_only, everything };
ShowUsage client_usage(const RequestFields& fields);

class Peek final : private metrics::JsonHandler {
public:
    static constexpr std::size_t kMaxModelLength = 128;
    static constexpr std::size_t kMaxResponseIdLength = 256;

    explicit Peek(unsigned max_depth = metrics::JsonScanner::kMaxDepth);

    /// `body_so_far` is everything received, from its first byte; it may have moved since the last
    /// call.
    Result<void> feed(std::string_view body_so_far);
    /// The body is complete. Call once.
    Result<RequestFields> finish(std::string_view whole_body);

private:
    Key on_key(std::size_t begin, std::size_t end, unsigned level) override;
    bool on_value(metrics::JsonKind kind, std::size_t begin, std::size_t end,
                  unsigned level) override;
    void on_watched(std::size_t quote) override;
    bool read_value(metrics::JsonKind kind, Span value);
    bool read_text(metrics::JsonKind kind, std::string_view text, std::size_t limit,
                   std::optional<std::string>& out);
    bool read_number(std::string_view text, std::optional<std::uint64_t>& out);
    bool read_bool(std::string_view text, std::optional<bool>& out);
    bool read_stream_options(metrics::JsonKind kind, Span value);
    bool refuse_length(std::size_t limit);
    bool refuse(Errc code, std::string detail);
    void check_watched();

    metrics::JsonScanner scanner_;
    RequestFields fields_;
    std::string_view body_;   // the buffer of the current call
    std::uint8_t key_ = 0;    // index of the key whose value is open
    std::uint32_t seen_ = 0;  // one bit per key of interest
    std::size_t watched_ =
        metrics::JsonScanner::kNone;  // a string that may become "image_url" when more arrives
    Error refusal_;
};

}  // namespace millrace::openai
