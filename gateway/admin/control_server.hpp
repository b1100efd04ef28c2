// A small HTTP/1.1 server for operators and probes: metrics, health, drain, explain. Never for the
// data path.
//
// Runs on the control thread's io_context; handlers run there too and may take milliseconds
// (rendering /metrics does). Everything is bounded: head 8 KiB, body 1 MiB, idle 15 s, 256
// connections. With a token, every request must carry it; without one, requests that a web page
// sent (they carry `Origin`) are refused, so that a browser on the same machine cannot be used to
// drain the gateway. Thread-safety: start(), stop() and destruction on the io_context's thread, or
// while it does not run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/base/secret.hpp"
#include "config/model.hpp"

namespace boost::asio {
class io_context;
}

namespace millrace::gateway {

struct ControlRequest {
    std::string method;
    std::string path;     ///< percent-decoded
    std::string capture;  ///< what `{…}` of the route's pattern matched, percent-decoded
    std::map<std::string, std::string> query;
    std::string body;
};

struct ControlResponse {
    unsigned status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
};

using ControlHandler = std::function<ControlResponse(const ControlRequest&)>;

/// A pattern is an exact path, or one that ends in `/{name}`, which takes the whole rest (`/`
/// included, not empty).
struct ControlRoute {
    std::string method;  ///< GET also answers HEAD
    std::string pattern;
    ControlHandler handler;
};

struct ControlServerOptions {
    config::Address address;      ///< port 0 = any free one
    std::optional<Secret> token;  ///< required as `Authorization: Bearer …` when set
    std::uint32_t max_connections = 256;
    std::uint64_t max_body = 1024 * 1024;
    std::uint32_t max_head = 8 * 1024;
    Duration idle = std::chrono::seconds(15);
    bool refuse_web_pages = false;  ///< see above; for the admin listener without a token
    std::function<void(const std::string&)>
        on_error;  ///< a handler threw: a bug of ours, one sentence
};

class ControlServer {
public:
    /// Binds and starts to accept on `context`, which outlives the server.
    static Result<std::unique_ptr<ControlServer>> start(boost::asio::io_context& context,
                                                        std::vector<ControlRoute> routes,
                                                        ControlServerOptions options);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    ~ControlServer();

    std::uint16_t port() const;
    /// Closes the listener and all connections.
    void stop();

private:
    struct State;
    explicit ControlServer(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

/// `{"error": {"code": …, "message": …}}` with that status.
ControlResponse control_error(unsigned status, std::string_view code, std::string_view message);

/// The refusal of a caller who may not be answered at all (wrong token, web page), or nullopt.
/// `authorization` is the field's value; `from_web_page`: the request carries `Origin`.
std::optional<ControlResponse> refuse_caller(const ControlServerOptions& options,
                                             std::string_view authorization, bool from_web_page);

/// Finds the handler and runs it: 404, 405 (with Allow) and HEAD included. Pure, so it is tested
/// without sockets. `target` is the request's path and query, still encoded.
ControlResponse dispatch(const std::vector<ControlRoute>& routes, std::string_view method,
                         std::string_view target, std::string body);

}  // namespace millrace::gateway
