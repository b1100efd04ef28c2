// Failures to connect that say something about us, not about the peer: no descriptors, no memory.
// Whoever judges a peer by its failures leaves these out. Thread-safety: a pure function.
#pragma once

#include <system_error>

namespace millrace {

/// Ephemeral ports are not among them: they run out per destination, so another one may do.
inline bool is_own_shortage(const std::error_code& error) {
    return error == std::errc::too_many_files_open ||
           error == std::errc::too_many_files_open_in_system ||
           error == std::errc::no_buffer_space || error == std::errc::not_enough_memory ||
           error == std::errc::no_space_on_device;  // epoll's max_user_watches
}

}  // namespace millrace
