#include "gateway/upstream/dial.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <utility>

#include "config/base/shortage.hpp"
#include "gateway/tls/session.hpp"

namespace millrace::gateway {
namespace {

using boost::asio::ip::tcp;

std::unexpected<Error> connect_failed(std::string detail) {
    return failure(Errc::upstream_connect_failed, Origin::upstream, std::move(detail));
}

}  // namespace

Task<Result<void>> dial(Loop& loop, std::unique_ptr<Connection>& connection,
                        const routing::EndpointState& endpoint, const BackendRuntime& backend) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(endpoint.address.host, error);
    if (error) {
        co_return connect_failed("The backend's address is not known yet.");
    }
    const tcp::endpoint where(address, endpoint.address.port);
    connection = std::make_unique<Connection>(loop, where.protocol());
    auto& socket = connection->socket;
    const std::error_code failed = co_await socket.connect(where);
    if (is_own_shortage(failed)) {
        // Not the endpoint's failure: no evidence against it, and none to try elsewhere with.
        co_return failure(Errc::server_overloaded, Origin::internal,
                          "The gateway could not open another connection (" + failed.message() +
                              "); try again shortly.");
    }
    if (failed) {
        co_return connect_failed("The backend could not be connected: " + failed.message() + ".");
    }
    if (endpoint.address.https) {
        auto session = std::make_unique<TlsSession>(
            *backend.tls, socket.native(),
            endpoint.address.name.empty() ? endpoint.address.host : endpoint.address.name);
        connection->tls = backend.tls;
        if (!co_await socket.handshake(std::move(session))) {
            co_return connect_failed("TLS to the backend failed: " + socket.tls()->failure());
        }
    }
    connection->generation = endpoint.generation;
    co_return Result<void>{};
}

}  // namespace millrace::gateway
