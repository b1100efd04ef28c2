// The socket half of the control server: Beast reads and writes, dispatch() decides.
#include "gateway/admin/control_server.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <exception>
#include <set>

namespace millrace::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Stream = beast::basic_stream<tcp, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Request = http::request<http::string_body>;
using Task = asio::awaitable<void, Executor>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::size_t kMaxLinger = 4 * 1024 * 1024;
/// Pause after a failed accept (out of descriptors), so that the loop does not spin.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

ControlResponse form_error(const error_code& error, const ControlServerOptions& options) {
    if (error == http::error::body_limit) {
        return control_error(
            413, "body_too_large",
            "The body is over the limit of " + std::to_string(options.max_body) + " bytes.");
    }
    if (error == http::error::header_limit) {
        return control_error(
            431, "headers_too_large",
            "The head is over the limit of " + std::to_string(options.max_head) + " bytes.");
    }
    return control_error(400, "bad_request",
                         "The request is not HTTP/1.1: " + error.message() + ".");
}

/// Lets the peer read the last answer: closing with unread bytes would reset the connection and
/// lose it.
Task linger(Stream& stream) {
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream.expires_after(kLinger);
    std::array<char, 4096> discarded{};
    for (std::size_t total = 0; total < kMaxLinger;) {
        const auto [error, bytes] =
            co_await stream.async_read_some(asio::buffer(discarded), kAwait);
        if (error) {
            co_return;
        }
        total += bytes;
    }
}

/// Timeouts, resets and the like: nobody is there to read an answer.
bool is_transport(const error_code& error) {
    return error &&
           error.category() != http::make_error_code(http::error::end_of_stream).category();
}

/// A handler threw: the session has ended with it, the server goes on.
void report(const ControlServerOptions& options, const std::exception_ptr& exception) {
    if (!exception || !options.on_error) {
        return;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& bug) {
        options.on_error("A control request ended with an exception: " + std::string(bug.what()));
    }
}

template <class Body>
void set_fields(http::response<Body>& message, const ControlResponse& response, bool keep_alive) {
    message.version(11);
    message.result(response.status);
    message.set(http::field::content_type, response.content_type);
    message.set(http::field::cache_control, "no-store");
    message.set("x-content-type-options", "nosniff");
    for (const auto& [name, value] : response.headers) {
        message.set(name, value);
    }
    message.keep_alive(keep_alive);
    message.content_length(response.body.size());
}

}  // namespace

struct ControlServer::State : std::enable_shared_from_this<ControlServer::State> {
    State(asio::io_context& context, std::vector<ControlRoute> table, ControlServerOptions settings)
        : executor(context.get_executor()),
          acceptor(executor),
          pause(executor),
          routes(std::move(table)),
          options(std::move(settings)) {}

    Result<void> listen();
    void stop();
    Task accept_loop();
    Task serve(Socket socket);
    /// One request and its answer. False when the connection must end.
    asio::awaitable<bool, Executor> exchange(Stream& stream, beast::flat_buffer& buffer);
    asio::awaitable<bool, Executor> answer(Stream& stream, const ControlResponse& response,
                                           bool head_only, bool keep_alive);
    ControlResponse respond(Request request);

    Executor executor;
    Acceptor acceptor;
    Timer pause;
    std::vector<ControlRoute> routes;
    ControlServerOptions options;
    std::set<Stream*> open;
    std::uint16_t port = 0;
    bool stopped = false;
};

Result<void> ControlServer::State::listen() {
    const auto& address = options.address;
    const auto fail = [&](const std::string& what, const error_code& error) {
        return failure(Errc::internal, Origin::internal,
                       "Cannot " + what + " " + address.host + ":" + std::to_string(address.port) +
                           ": " + error.message() + ".");
    };
    auto host = address.host;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    error_code error;
    const tcp::endpoint endpoint(asio::ip::make_address(host, error), address.port);
    if (error) {
        return fail("use the address", error);
    }
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
        acceptor.set_option(asio::socket_base::reuse_address(true), error);
    }
    if (!error) {
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        acceptor.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
        return fail("listen on", error);
    }
    port = acceptor.local_endpoint(error).port();
    return {};
}

void ControlServer::State::stop() {
    stopped = true;
    error_code ignored;
    acceptor.close(ignored);
    pause.cancel();
    for (auto* stream : open) {
        stream->cancel();
    }
}

Task ControlServer::State::accept_loop() {
    while (!stopped) {
        auto [error, socket] = co_await acceptor.async_accept(kAwait);
        if (stopped) {
            co_return;
        }
        if (error) {
            pause.expires_after(kAcceptPause);
            co_await pause.async_wait(kAwait);
            continue;
        }
        if (open.size() >= options.max_connections) {
            continue;  // the socket closes here
        }
        asio::co_spawn(executor, serve(std::move(socket)),
                       [self = shared_from_this()](const std::exception_ptr& exception) {
                           report(self->options, exception);
                       });
    }
}

Task ControlServer::State::serve(Socket socket) {
    // Keeps the state alive until the last session has ended; the frame is destroyed with the
    // io_context at the latest.
    const auto self = shared_from_this();
    Stream stream(std::move(socket));
    struct Registration {
        std::set<Stream*>& set;
        Stream* stream;
        Registration(std::set<Stream*>& all, Stream* one) : set(all), stream(one) {
            set.insert(stream);
        }
        Registration(const Registration&) = delete;
        Registration& operator=(const Registration&) = delete;
        ~Registration() { set.erase(stream); }
    };
    const Registration registration(open, &stream);
    beast::flat_buffer buffer(options.max_head + options.max_body);
    while (!stopped) {
        stream.expires_after(options.idle);
        if (!co_await exchange(stream, buffer)) {
            break;
        }
    }
    if (!stopped) {
        co_await linger(stream);
    }
}

asio::awaitable<bool, Executor> ControlServer::State::exchange(Stream& stream,
                                                               beast::flat_buffer& buffer) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(options.max_head);
    parser.body_limit(options.max_body);
    const auto [head_error, head_bytes] =
        co_await http::async_read_header(stream, buffer, parser, kAwait);
    if (head_error == http::error::end_of_stream || is_transport(head_error)) {
        co_return false;
    }
    if (head_error) {
        co_return co_await answer(stream, form_error(head_error, options), false, false);
    }
    // Refused before the body is read: an unknown caller makes us buffer nothing.
    const bool head_only = parser.get().method() == http::verb::head;
    if (const auto refused = refuse_caller(options, view(parser.get()[http::field::authorization]),
                                           parser.get().count(http::field::origin) > 0)) {
        co_return co_await answer(stream, *refused, head_only, false);
    }
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        http::response<http::empty_body> go_on(http::status::continue_, 11);
        const auto [error, bytes] = co_await http::async_write(stream, go_on, kAwait);
        if (error) {
            co_return false;
        }
    }
    const auto [body_error, body_bytes] = co_await http::async_read(stream, buffer, parser, kAwait);
    if (is_transport(body_error)) {
        co_return false;
    }
    if (body_error) {
        co_return co_await answer(stream, form_error(body_error, options), head_only, false);
    }
    const bool keep_alive = parser.get().keep_alive() && !stopped;
    const auto response = respond(parser.release());
    co_return co_await answer(stream, response, head_only, keep_alive);
}

asio::awaitable<bool, Executor> ControlServer::State::answer(Stream& stream,
                                                             const ControlResponse& response,
                                                             bool head_only, bool keep_alive) {
    stream.expires_after(options.idle);
    error_code error;
    if (head_only) {
        http::response<http::empty_body> message;
        set_fields(message, response, keep_alive);
        std::tie(error, std::ignore) = co_await http::async_write(stream, message, kAwait);
    } else {
        http::response<http::string_body> message;
        set_fields(message, response, keep_alive);
        message.body() = response.body;
        std::tie(error, std::ignore) = co_await http::async_write(stream, message, kAwait);
    }
    co_return !error && keep_alive;
}

ControlResponse ControlServer::State::respond(Request request) {
    return dispatch(routes, view(request.method_string()), view(request.target()),
                    std::move(request.body()));
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(asio::io_context& context,
                                                            std::vector<ControlRoute> routes,
                                                            ControlServerOptions options) {
    auto state = std::make_shared<State>(context, std::move(routes), std::move(options));
    if (auto listening = state->listen(); !listening) {
        return std::unexpected(listening.error());
    }
    // The handler holds the state for as long as the loop runs.
    asio::co_spawn(context.get_executor(), state->accept_loop(),
                   [state](const std::exception_ptr&) {});
    return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

ControlServer::~ControlServer() {
    stop();
}

std::uint16_t ControlServer::port() const {
    return state_->port;
}

void ControlServer::stop() {
    state_->stop();
}

}  // namespace millrace::gateway
