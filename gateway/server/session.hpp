// Session: one client connection's life. TLS handshake, then heads in order, each answered by the
// pipeline before the next is parsed, until either side is done.
//
// States, as shutdown needs them: idle (between requests; may be closed at any time) and active (a
// request is being read or answered). Thread-safety: none; owned by its worker, which destroys it
// when run() has ended.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "gateway/pipeline/services.hpp"
#include "gateway/runtime/task.hpp"
#include "gateway/server/client.hpp"
#include "gateway/server/request_states.hpp"

namespace millrace::gateway {

class Worker;

class Session {
public:
    Session(Worker& worker, int descriptor, std::string address);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Ends when the connection has.
    Task<void> run();

    /// An idle connection closes at once, an active one after its answer.
    void drain();
    /// An idle connection waits no longer than the overload ladder allows now.
    void shorten_idle();
    /// The running request is aborted; what can still be said to the client is said.
    void abort_request();
    /// Everything ends now.
    void close() { client_.close(/*reset=*/true); }

private:
    enum class HeadResult : std::uint8_t {
        complete,
        refused,  ///< answered with an error; the connection must linger and close
        ended     ///< the client left, or was idle for too long
    };

    Task<bool> handshake(const Snapshot& snapshot);
    Task<HeadResult> read_head(const config::Config& config, RequestStates::Lease& state);
    Task<HeadResult> refuse_head(const Error& error);
    Task<bool> answer(const Snapshot& snapshot, RequestState& state);
    Duration idle_limit(const config::Config& config) const;

    Worker& worker_;
    Client client_;
    std::uint32_t requests_ = 0;
    Instant idle_since_{};
    bool idle_ = true;
    bool lingers_ = false;  // something was written that a RST could take back
};

}  // namespace millrace::gateway
