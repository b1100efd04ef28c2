// Listening sockets: bound here, or inherited from whoever started us (systemd's protocol:
// LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), so that an upgrade can pass them on and no connection
// attempt is lost.
//
// A Listener owns its descriptor. give_away() sends it to another process over a Unix socket
// (SCM_RIGHTS). Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/base/error.hpp"
#include "config/model.hpp"

namespace millrace::gateway {

class Listener {
public:
    explicit Listener(int descriptor) : descriptor_(descriptor) {}
    Listener(Listener&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Listener& operator=(Listener&& other) noexcept;
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

    int native() const { return descriptor_; }
    /// The port it is bound to, in host order.
    std::uint16_t port() const;

    /// Binds and listens; the error names the address and the system's reason.
    static Result<Listener> bind(const config::Address& address);

    /// Sends a copy of the descriptor over a connected Unix socket.
    bool give_away(int unix_socket) const;
    /// Receives one, made inheritable only by whoever asks for it.
    static std::optional<Listener> receive(int unix_socket);

private:
    int descriptor_;
};

/// An inherited listening socket with that name (`data`), if this process was started with one.
/// Pure but for the check that the descriptor listens: environment and pid are arguments.
std::optional<Listener> inherited_listener(
    const std::string& name,
    const std::function<std::optional<std::string>(const char*)>& environment, int pid,
    int first_descriptor = 3);

}  // namespace millrace::gateway
