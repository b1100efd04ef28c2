// The requests of one control connection and their answers: Beast reads and writes, dispatch()
// decides. Thread-safety: none; on the io_context's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <vector>

#include "gateway/admin/control_server.hpp"

namespace millrace::gateway {

using ControlExecutor = boost::asio::io_context::executor_type;
using ControlStream = boost::beast::basic_stream<boost::asio::ip::tcp, ControlExecutor>;

/// Until the peer has gone, broke the rules or asked for the end, or `stopped` is set. Everything
/// outlives it.
boost::asio::awaitable<void, ControlExecutor> serve_control_requests(
    ControlStream& stream, const std::vector<ControlRoute>& routes,
    const ControlServerOptions& options, const bool& stopped);

}  // namespace millrace::gateway
