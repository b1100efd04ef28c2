#include "gateway/adapters/http_client.hpp"

#include <openssl/ssl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <exception>
#include <optional>
#include <tuple>

#include "config/base/shortage.hpp"

namespace millrace::gateway {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using asio::ip::tcp;
using Plain = beast::basic_stream<tcp, Executor>;
using Encrypted = asio::ssl::stream<Plain&>;
template <class T>
using Task = asio::awaitable<T, Executor>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});
constexpr std::uint32_t kMaxHead = 64 * 1024;

std::unexpected<Error> failed(const HttpRequest& request, Errc code, const std::string& reason) {
    return failure(code, Origin::upstream,
                   request.method + " " + request.url + " failed: " + reason + ".");
}

/// Timeouts read the same whatever step they struck.
std::unexpected<Error> failed(const HttpRequest& request, std::string_view step,
                              const error_code& error) {
    if (error == beast::error::timeout) {
        return failed(request, Errc::total_timeout,
                      "no answer within " + std::to_string(seconds(request.timeout)) + " s");
    }
    if (is_own_shortage(error)) {
        return failure(Errc::server_overloaded, Origin::internal,
                       request.method + " " + request.url + " was not sent: " + std::string(step) +
                           ": " + error.message() + ".");
    }
    return failed(request, Errc::upstream_closed, std::string(step) + ": " + error.message());
}

http::request<http::string_body> make_message(const HttpRequest& request, const HttpUrl& url) {
    http::request<http::string_body> message;
    message.version(11);
    message.method_string(request.method);
    message.target(url.target);
    std::string host = url.host.contains(':') ? "[" + url.host + "]" : url.host;
    if (url.port != (url.https ? 443 : 80)) {
        host += ":" + std::to_string(url.port);
    }
    message.set(http::field::host, host);
    message.set(http::field::user_agent, "millrace");
    message.set(http::field::connection, "close");
    for (const auto& [name, value] : request.headers) {
        message.set(name, value);
    }
    message.body() = request.body;
    message.prepare_payload();
    return message;
}

/// `stream` is connected (and, for https, encrypted).
template <class Stream>
Task<Result<HttpAnswer>> exchange(Stream& stream, const HttpRequest& request, const HttpUrl& url) {
    auto message = make_message(request, url);
    const auto [write_error, written] = co_await http::async_write(stream, message, kAwait);
    if (write_error) {
        co_return failed(request, "sending the request", write_error);
    }
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.header_limit(kMaxHead);
    parser.body_limit(request.max_answer);
    parser.skip(request.method == "HEAD");
    const auto [read_error, got] = co_await http::async_read(stream, buffer, parser, kAwait);
    if (read_error == http::error::body_limit) {
        co_return failed(
            request, Errc::upstream_bad_response,
            "the answer is larger than " + std::to_string(request.max_answer) + " bytes");
    }
    if (read_error) {
        co_return failed(request, "reading the answer", read_error);
    }
    auto response = parser.release();
    HttpAnswer answer;
    answer.status = response.result_int();
    for (const auto& field : response) {
        answer.headers.emplace_back(field.name_string(), field.value());
    }
    answer.body = std::move(response.body());
    co_return answer;
}

Task<Result<HttpAnswer>> encrypt_and_exchange(Plain& plain, const HttpRequest& request,
                                              const HttpUrl& url) {
    std::shared_ptr<const TlsClientContext> own;
    const TlsClientContext* settings = request.tls.get();
    if (settings == nullptr) {
        auto loaded = TlsClientContext::load({});
        if (!loaded) {
            co_return std::unexpected(loaded.error());
        }
        own = std::move(*loaded);
        settings = own.get();
    }
    SSL_CTX_up_ref(settings->native());
    asio::ssl::context context(settings->native());  // owns the reference just taken
    Encrypted stream(plain, context);
    if (!settings->apply(stream.native_handle(),
                         request.server_name.empty() ? url.host : request.server_name)) {
        co_return failed(request, Errc::upstream_connect_failed,
                         "the host cannot be used as a TLS name");
    }
    const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, kAwait);
    if (error) {
        co_return failed(request, "TLS handshake", error);
    }
    co_return co_await exchange(stream, request, url);
}

/// Asio's own loop over a name's addresses says `operation_aborted` where there was no descriptor.
Task<error_code> connect(Plain& stream, const tcp::resolver::results_type& addresses) {
    error_code failure = asio::error::host_not_found;
    for (const auto& address : addresses) {
        const auto [error] = co_await stream.async_connect(address.endpoint(), kAwait);
        failure = error;
        if (!error || error == beast::error::timeout || is_own_shortage(error)) {
            break;
        }
        stream.socket().close();  // the next address may be of another family
    }
    co_return failure;
}

/// `request` and `url` outlive it.
Task<Result<HttpAnswer>> run(const HttpRequest& request, const HttpUrl& url) {
    const auto executor = co_await asio::this_coro::executor;
    const auto deadline = std::chrono::steady_clock::now() + request.timeout;
    asio::ip::basic_resolver<tcp, Executor> resolver(executor);
    const auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(url.host, std::to_string(url.port), kAwait);
    if (resolve_error) {
        co_return failed(request, "resolving " + url.host, resolve_error);
    }
    Plain stream(executor);
    stream.expires_at(deadline);
    if (const auto connect_error = co_await connect(stream, endpoints); connect_error) {
        co_return failed(request, "connecting", connect_error);
    }
    if (url.https) {
        co_return co_await encrypt_and_exchange(stream, request, url);
    }
    co_return co_await exchange(stream, request, url);
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view url) {
    const auto bad = [&](std::string_view why) {
        return failure(
            Errc::bad_field, Origin::downstream,
            "The URL " + std::string(url) + " cannot be used: " + std::string(why) + ".");
    };
    HttpUrl parts;
    auto rest = url;
    if (rest.starts_with("https://")) {
        parts.https = true;
        parts.port = 443;
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        return bad("it must begin with http:// or https://");
    }
    auto authority = rest.substr(0, rest.find_first_of("/?#"));
    rest.remove_prefix(authority.size());
    rest = rest.substr(0, rest.find('#'));
    parts.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    if (authority.contains('@')) {
        return bad("user names in URLs are not supported");
    }
    const auto bracket = authority.find(']');
    const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (colon != std::string_view::npos) {
        const auto digits = authority.substr(colon + 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
        if (error != std::errc{} || end != digits.data() + digits.size() || parts.port == 0) {
            return bad("its port is not a number from 1 to 65535");
        }
        authority = authority.substr(0, colon);
    }
    if (authority.starts_with('[') && authority.ends_with(']')) {
        authority = authority.substr(1, authority.size() - 2);
    }
    if (authority.empty()) {
        return bad("it names no host");
    }
    for (const char c : url) {
        if (c <= 0x20 || c == 0x7f) {
            return bad("it contains a space or a control character");
        }
    }
    parts.host = std::string(authority);
    return parts;
}

Result<HttpAnswer> http_exchange(const HttpRequest& request) {
    const auto url = parse_http_url(request.url);
    if (!url) {
        return std::unexpected(url.error());
    }
    asio::io_context context(1);
    std::optional<Result<HttpAnswer>> answer;
    std::exception_ptr bug;
    asio::co_spawn(context.get_executor(), run(request, *url),
                   [&](const std::exception_ptr& exception, Result<HttpAnswer> result) {
                       bug = exception;
                       answer = std::move(result);
                   });
    context.run();
    if (bug) {
        std::rethrow_exception(bug);
    }
    return std::move(*answer);
}

void start_http_exchange(asio::io_context& loop, HttpRequest request,
                         std::function<void(Result<HttpAnswer>)> done) {
    struct Exchange {
        HttpRequest request;
        HttpUrl url;
        std::function<void(Result<HttpAnswer>)> done;
    };
    auto url = parse_http_url(request.url);
    if (!url) {
        return asio::post(loop, [error = std::move(url.error()), done = std::move(done)] {
            done(std::unexpected(error));
        });
    }
    const auto all =
        std::make_shared<Exchange>(Exchange{std::move(request), std::move(*url), std::move(done)});
    asio::co_spawn(loop.get_executor(), run(all->request, all->url),
                   [all](const std::exception_ptr& bug, Result<HttpAnswer> answer) {
                       if (bug) {
                           std::rethrow_exception(bug);
                       }
                       all->done(std::move(answer));
                   });
}

}  // namespace millrace::gateway
