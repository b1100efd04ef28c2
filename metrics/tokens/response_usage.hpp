// Finds `usage`, `id` and `error` in a response body that arrives in pieces, without keeping the
// body.
//
// Reads the top-level object and the objects in its `response` (Responses stream events) and
// `message` (Messages) members. Values are copied only while they are open, at most 16 KiB each; a
// larger one is ignored and flagged. Thread-safety: none; one per body. Units: bytes, tokens.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "metrics/tokens/json_scanner.hpp"
#include "metrics/tokens/stream_error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::metrics {

class ResponseUsage final : private JsonHandler {
public:
    explicit ResponseUsage(Dialect dialect);

    /// Takes the next piece of the decoded body. Not JSON (or no longer): nothing more is read, and
    /// it is no error.
    void feed(std::string_view piece);
    /// The body is complete: true if it was one JSON object that could be read to its end.
    bool finish() const { return !broken_ && scanner_.complete(); }

    const std::optional<TokenUsage>& usage() const { return usage_; }
    const std::string& id() const { return id_; }
    /// The `error` object, if there is one and it is not null.
    const std::optional<StreamError>& error() const { return error_; }
    /// A value was over 16 KiB and was not read.
    bool overflowed() const { return overflowed_; }

private:
    enum class Field : std::uint8_t { none, usage, id, error };

    Key on_key(std::size_t begin, std::size_t end, unsigned level) override;
    bool on_value(JsonKind kind, std::size_t begin, std::size_t end, unsigned level) override;
    std::string_view text(std::size_t begin, std::size_t end);
    void keep_open_token();

    Dialect dialect_;
    JsonScanner scanner_;
    Field field_ = Field::none;
    bool broken_ = false;
    bool overflowed_ = false;
    std::string_view piece_;       // being scanned; valid during feed only
    std::size_t piece_begin_ = 0;  // its offset in the body
    std::string carry_;            // bytes of an open key or value from earlier pieces
    std::size_t carry_begin_ = JsonScanner::kNone;  // their offset in the body
    std::optional<TokenUsage> usage_;
    std::string id_;
    std::optional<StreamError> error_;
};

}  // namespace millrace::metrics
