// EndpointRounds: asks every endpoint of the backends that want it one question, again and again,
// on the control thread: whether it is well (health checks), and how loaded it is (its metrics).
//
// One question per endpoint at a time; the first ones are spread over an interval. Answers about
// endpoints that are gone meanwhile are dropped. Thread-safety: none; control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "gateway/adapters/http_client.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

/// What is asked of each endpoint of one backend, with GET.
struct Question {
    std::string path;
    Duration interval{};
    Duration timeout{};
    std::uint64_t max_answer = 0;  ///< bytes of the body
};

/// What a kind of round is about; the functions run on the control thread.
struct RoundKind {
    /// Empty = this backend's endpoints are not asked.
    std::function<std::optional<Question>(const config::Backend&)> question;
    std::function<void(routing::Pool&, const std::string& url, const Result<HttpAnswer>&, Instant)>
        take;
};

/// Whether an endpoint is well, told to its pool's PoolHealth: checks take an endpoint out, they do
/// not have to let it in.
RoundKind health_checks();
/// How loaded an endpoint is, told to its EndpointLoad. What cannot be read is no news.
RoundKind engine_metrics();

class EndpointRounds {
public:
    using Done = std::function<void(Result<HttpAnswer>)>;
    /// Begins an exchange and calls `done` on this thread when it has ended.
    using Probe = std::function<void(HttpRequest request, Done done)>;

    EndpointRounds(RoundKind kind, routing::PoolDirectory& pools, Probe probe, const Clock& clock,
                   std::uint64_t seed);
    EndpointRounds(const EndpointRounds&) = delete;
    EndpointRounds& operator=(const EndpointRounds&) = delete;

    /// Settings, credentials and TLS are this snapshot's from here on.
    void follow(std::shared_ptr<const Snapshot> snapshot);
    /// Asks what is due. To be called every second or more often.
    void advance();

private:
    struct Asked {
        Instant due{};
        bool running = false;
    };
    using Endpoints = std::map<std::string, Asked>;  // by URL

    void ask_pool(const std::string& backend, const routing::Pool& pool,
                  const BackendRuntime& runtime, const Question& question, Instant now);
    void ask(const std::string& backend, const routing::EndpointState& endpoint,
             const BackendRuntime& runtime, const Question& question);
    void finish(const std::string& backend, const std::string& url,
                const Result<HttpAnswer>& answer);

    const RoundKind kind_;
    routing::PoolDirectory& pools_;
    Probe probe_;
    const Clock& clock_;
    Random random_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::map<std::string, Endpoints> backends_;
};

}  // namespace millrace::gateway
