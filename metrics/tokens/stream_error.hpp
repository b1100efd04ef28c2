// An error as a backend writes it into a body or a stream event, in any dialect. Strings are cut to
// fixed lengths, because they come from outside and go to logs. Thread-safety: plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::metrics {

struct StreamError {
    std::optional<unsigned>
        status;           ///< an HTTP status the backend named (vLLM's integer `code`, or `status`)
    std::string type;     ///< at most 64 bytes
    std::string code;     ///< at most 64 bytes; empty if absent or a status
    std::string message;  ///< at most 1024 bytes
};

/// Reads an error object ({message, type, code, …}); nullopt for null and for anything that is no
/// object or string.
std::optional<StreamError> parse_stream_error(std::string_view json);

/// The status that the error would have had before the head was sent: the one it names, else what
/// its type means
/// (`overloaded_error` 529, `rate_limit_error` 429, `BadRequestError` 400, …), else 502.
unsigned status_of(const StreamError& error);

}  // namespace millrace::metrics
