// Listening, accepting and stopping; what happens on a connection is in control_exchange.
#include "gateway/admin/control_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <set>

#include "gateway/admin/control_exchange.hpp"

namespace millrace::gateway {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Executor = ControlExecutor;
using Stream = ControlStream;
using asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Task = asio::awaitable<void, Executor>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable_t<Executor>{});
/// Pause after a failed accept (out of descriptors), so that the loop does not spin.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

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
    co_await serve_control_requests(stream, routes, options, stopped);
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
