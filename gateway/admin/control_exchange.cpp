#include "gateway/admin/control_exchange.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <string>
#include <tuple>
#include <utility>

namespace millrace::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Executor = ControlExecutor;
using Stream = ControlStream;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::size_t kMaxLinger = 4 * 1024 * 1024;

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
asio::awaitable<void, Executor> linger(Stream& stream) {
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

asio::awaitable<bool, Executor> answer(Stream& stream, const ControlServerOptions& options,
                                       const ControlResponse& response, bool head_only,
                                       bool keep_alive) {
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

/// One request and its answer. False when the connection must end.
asio::awaitable<bool, Executor> exchange(Stream& stream, beast::flat_buffer& buffer,
                                         const std::vector<ControlRoute>& routes,
                                         const ControlServerOptions& options, const bool& stopped) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(options.max_head);
    parser.body_limit(options.max_body);
    const auto [head_error, head_bytes] =
        co_await http::async_read_header(stream, buffer, parser, kAwait);
    if (head_error == http::error::end_of_stream || is_transport(head_error)) {
        co_return false;
    }
    if (head_error) {
        co_return co_await answer(stream, options, form_error(head_error, options), false, false);
    }
    // Refused before the body is read: an unknown caller makes us buffer nothing.
    const bool head_only = parser.get().method() == http::verb::head;
    if (const auto refused = refuse_caller(options, view(parser.get()[http::field::authorization]),
                                           parser.get().count(http::field::origin) > 0)) {
        co_return co_await answer(stream, options, *refused, head_only, false);
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
        co_return co_await answer(stream, options, form_error(body_error, options), head_only,
                                  false);
    }
    const bool keep_alive = parser.get().keep_alive() && !stopped;
    auto request = parser.release();
    const auto response = dispatch(routes, view(request.method_string()), view(request.target()),
                                   std::move(request.body()));
    co_return co_await answer(stream, options, response, head_only, keep_alive);
}

}  // namespace

asio::awaitable<void, Executor> serve_control_requests(Stream& stream,
                                                       const std::vector<ControlRoute>& routes,
                                                       const ControlServerOptions& options,
                                                       const bool& stopped) {
    beast::flat_buffer buffer(options.max_head + options.max_body);
    while (!stopped) {
        stream.expires_after(options.idle);
        if (!co_await exchange(stream, buffer, routes, options, stopped)) {
            break;
        }
    }
    if (!stopped) {
        co_await linger(stream);
    }
}

}  // namespace millrace::gateway
