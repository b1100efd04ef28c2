// Mirrors: one worker's copies of requests, sent to a backend that is to be tried out; their
// answers are read and dropped.
//
// A copy lives on its own: it owns its bytes (leased from the byte budget), its endpoint's slot and
// its attempt, and the original never waits for it. It never waits in a queue itself: without a
// free slot, without memory or beyond kAtOnce it is dropped. It counts in no series of requests,
// tokens or demand. Thread-safety: none; one per worker, which outlives its loop's turns.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"

namespace millrace::gateway {

class Mirrors {
public:
    static constexpr std::size_t kAtOnce = 64;

    Mirrors();
    Mirrors(const Mirrors&) = delete;
    Mirrors& operator=(const Mirrors&) = delete;
    ~Mirrors();

    /// Sends a copy if its model has a mirror and the draw says so. To be called when the body has
    /// been read and the request is resolved.
    void copy(const RequestScope& scope, const Request& request, const Resolved& resolved) {
        if (resolved.matched->mirror.pool != nullptr) {
            draw(scope, request, resolved);
        }
    }

    /// On: ends all that run, and no others begin.
    void drain(bool on);

    std::size_t running() const { return copies_.size(); }

private:
    class Copy;

    void draw(const RequestScope& scope, const Request& request, const Resolved& resolved);
    bool start(const RequestScope& scope, const Request& request, const Resolved& resolved);

    std::unordered_map<const Copy*, std::unique_ptr<Copy>> copies_;
    bool draining_ = false;
};

}  // namespace millrace::gateway
