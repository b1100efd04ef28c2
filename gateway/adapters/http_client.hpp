// HTTP/1.1 exchanges for the control plane: blocking for `millrace drain` and the like, or on a
// loop's thread for health checks. Not for the data path.
//
// One connection per call, no redirects followed, a deadline over the whole exchange, a limit on
// the answer's size. (A name's resolution cannot be interrupted; the deadline is checked after it.)
// Thread-safety: free function without state.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "gateway/tls/context.hpp"

namespace boost::asio {
class io_context;
}

namespace millrace::gateway {

struct HttpRequest {
    std::string method = "GET";
    std::string url;  ///< http:// or https://, host, optional port, path and query
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    Duration timeout = std::chrono::seconds(10);
    std::uint64_t max_answer = 1024 * 1024;  ///< bytes of the answer's body
    /// For https; null = the system's store, verified.
    std::shared_ptr<const TlsClientContext> tls;
    std::string server_name;  ///< verified and sent as SNI; empty = the URL's host
};

struct HttpAnswer {
    unsigned status = 0;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
};

/// The error's origin is `internal` when it is this process that has no descriptors or memory left,
/// which says nothing about the other side.
Result<HttpAnswer> http_exchange(const HttpRequest& request);

/// The same without blocking: runs on the thread of `loop` and calls `done` there, unless the loop
/// ends first.
void start_http_exchange(boost::asio::io_context& loop, HttpRequest request,
                         std::function<void(Result<HttpAnswer>)> done);

/// The parts of a URL that matter here.
struct HttpUrl {
    bool https = false;
    std::string host;  ///< without brackets
    std::uint16_t port = 80;
    std::string target = "/";  ///< path and query
};
Result<HttpUrl> parse_http_url(std::string_view url);

}  // namespace millrace::gateway
