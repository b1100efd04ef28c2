// A backend on raw sockets that plays a script per connection: it reads requests, sends bytes,
// waits, closes, half-closes or resets, and records what it saw. It knows nothing of our codec, so
// it can be as wrong as a script wants.
//
// A script is a function over BackendConnection that runs on a thread of its own; it returns when
// the connection is to be closed. Thread-safety: ScriptedBackend's methods may be called from any
// thread; a BackendConnection belongs to its script.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/deadline.hpp"
#include "tests/support/http_message.hpp"
#include "tests/support/socket.hpp"

namespace millrace::test {

class ScriptedBackend;

/// One accepted connection, as its script sees it.
class BackendConnection {
public:
    BackendConnection(ScriptedBackend& owner, Fd socket, std::size_t index);

    /// Counts from 0 over the life of the backend.
    std::size_t index() const { return index_; }
    /// Next request with its body; nullopt when the peer is gone or the deadline passed. Recorded
    /// by the backend.
    std::optional<Message> read_request(Millis limit = 60s);
    bool send(std::string_view bytes, Millis limit = 60s);
    /// Waits for the end of the connection (FIN or RST) and notes when it came; false when the
    /// deadline passed first.
    bool wait_until_gone(Millis limit = 60s);
    /// Waits until the test calls ScriptedBackend::release(name); false at the deadline or when the
    /// backend stops.
    bool wait_for(const std::string& name, Millis limit = 60s);
    void half_close() { test::half_close(socket_); }
    void reset();
    void close();
    /// Bytes the peer sent beyond complete requests.
    const std::string& unread() const { return reader_.pending(); }

private:
    friend class ScriptedBackend;
    ScriptedBackend& owner_;
    Fd socket_;
    std::size_t index_;
    MessageReader reader_{MessageReader::Kind::request};
};

class ScriptedBackend {
public:
    using Script = std::function<void(BackendConnection&)>;

    /// Plays `script` on every connection that has none of its own; listens on `address`.
    explicit ScriptedBackend(Script script, const std::string& address = loopback());
    ~ScriptedBackend();
    ScriptedBackend(const ScriptedBackend&) = delete;
    ScriptedBackend& operator=(const ScriptedBackend&) = delete;

    /// Answers every request of a connection with the same bytes.
    static Script always(std::string response_bytes);
    /// Answers every request with what `answer` makes of it.
    static Script answering(std::function<std::string(const Message&)> answer);
    /// Sends these bytes after one request, then closes.
    static Script once_then_close(std::string bytes);

    /// Script for the connection with that index, instead of the common one.
    void script(std::size_t connection, Script script);

    std::uint16_t port() const { return port_; }
    std::string url() const { return "http://" + address_ + ':' + std::to_string(port_); }

    std::vector<Message> requests() const;
    std::size_t request_count() const;
    bool wait_for_requests(std::size_t count, Millis limit = kPatience) const;
    std::size_t connections() const;
    std::size_t open_connections() const;
    /// When a script last saw its peer go.
    std::optional<std::chrono::steady_clock::time_point> gone_at() const;
    std::size_t gone_count() const;
    /// Every byte that was received on any connection.
    std::string received() const;
    /// Lets scripts that wait_for(name) go on, also later ones.
    void release(const std::string& name);
    /// Refuses connections from here on; those that are open stay.
    void stop_accepting();

private:
    friend class BackendConnection;
    void accept_loop();
    void play(std::size_t index, Fd socket);
    bool stopping() const;

    Script script_;
    std::string address_;
    Fd listener_;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::map<std::size_t, Script> scripts_;
    std::vector<Message> requests_;
    std::map<std::string, bool> released_;
    std::map<std::size_t, int> open_;  ///< descriptor, or -1 once its script has closed it
    std::string received_;
    std::optional<std::chrono::steady_clock::time_point> gone_at_;
    std::size_t gone_ = 0;
    std::size_t connections_ = 0;
    bool stopping_ = false;
    bool accepting_ = true;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

}  // namespace millrace::test
