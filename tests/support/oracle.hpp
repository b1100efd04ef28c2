// The oracle: joins what clients saw, what the gateway wrote into its access log and what vllm-sim
// wrote into its log, by request id, and says what does not add up.
//   O1 conservation: every request has one line, and ended complete, in an explicit error, or left
//   by its client. O2 integrity: what a client got is the beginning of what the backend sent, all
//   of it when the answer is complete. O3 money: exact rows equal the backend's to the token;
//   partial rows miss at most the tokens in bytes that the backend
//      wrote and the gateway had not read; no request is billed twice.
// (O4, the gauges, is GatewayProcess::quiet().) Thread-safety: plain values and pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/http_message.hpp"

namespace millrace::test {

/// One client's account of one request.
struct ClientLine {
    std::string id;  ///< x-request-id that it sent
    int status = 0;  ///< 0 = no answer
    bool stream = false;
    bool complete = false;  ///< by the framing
    bool done = false;      ///< the stream's end marker was seen
    bool error = false;     ///< an error body or an error event was seen
    bool left = false;      ///< the client went away itself
    std::string content;
};

/// What a client that read `answer` writes down.
ClientLine client_line(std::string id, const Message& answer, bool stream);

struct OracleReport {
    std::size_t completed = 0;
    std::size_t errors = 0;
    std::size_t left = 0;
    std::size_t exact = 0;
    std::size_t partial = 0;
    std::size_t estimated = 0;
    std::vector<std::string> violations;
    /// All violations, or the counts, as one text for a failure message.
    std::string text() const;
};

OracleReport judge(std::span<const ClientLine> clients, std::span<const nlohmann::json> gateway,
                   std::span<const nlohmann::json> backend);

/// Tokens whose events end within the first `bytes` bytes of the response of a backend's log line.
std::uint64_t tokens_within(const nlohmann::json& backend_line, std::uint64_t bytes);

/// True when `content` is the tokens 0, 1, 2, … of vllm-sim's text, the last one perhaps cut by an
/// exact length.
bool is_token_sequence(std::string_view content, std::size_t* tokens = nullptr);

}  // namespace millrace::test
