// Reads HTTP/1.1 requests from a byte stream with the gateway's own strict codec. What a request
// says is copied out of its head at once, so that the body may arrive later and move.
// Thread-safety: none; one per connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/vllm_sim/request.hpp"
#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/head_parser.hpp"

namespace millrace::vllm_sim {

struct Incoming {
    http1::Method method = http1::Method::get;
    std::string path;
    std::string query;
    std::string request_id;  ///< X-Request-Id
    Api api = Api::none;
    Controls controls;
    std::string bad_control;  ///< name of a control header that makes no sense
    bool keep_alive = true;
    bool http_1_0 = false;
    std::string_view body;  ///< valid while the request is being handled
};

class RequestReader {
public:
    enum class Status : std::uint8_t { need_more, complete, failed };

    /// `data` starts with the first byte not consumed so far; consumed bytes are removed from its
    /// front. Call again with what was left plus more after need_more, and with the rest after
    /// complete.
    Status read(std::string_view& data);

    const Incoming& incoming() const { return incoming_; }
    const std::string& error() const { return error_; }

    /// True once per request whose client waits for `100 Continue`.
    bool take_expectation();

    /// Between two requests, with no part of a head seen.
    bool at_start() const { return !in_body_; }

private:
    Status fail(std::string why);
    void copy_head();
    Status read_body(std::string_view& data);

    http1::HeadParser parser_;
    http1::ChunkDecoder chunks_;
    http1::Framing framing_;
    Incoming incoming_;
    std::string chunked_body_;
    std::string error_;
    bool in_body_ = false;
    bool expects_continue_ = false;
};

}  // namespace millrace::vllm_sim
