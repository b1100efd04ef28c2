#include "gateway/server/session.hpp"

#include <array>
#include <utility>

#include "gateway/pipeline/handle.hpp"
#include "gateway/pipeline/request_id.hpp"
#include "gateway/pipeline/respond.hpp"
#include "gateway/server/request_body.hpp"
#include "gateway/server/response_writer.hpp"
#include "gateway/server/worker.hpp"
#include "gateway/tls/session.hpp"
#include "metrics/settlement.hpp"

namespace millrace::gateway {
namespace {

constexpr Duration kLinger = std::chrono::seconds(1);

}  // namespace

Session::Session(Worker& worker, int descriptor, std::string address)
    : worker_(worker), client_(worker.loop(), descriptor, std::move(address)) {}

Task<void> Session::run() {
    auto snapshot = worker_.snapshot();
    if (snapshot->tls != nullptr && !co_await handshake(*snapshot)) {
        client_.close();
        co_return;
    }
    for (bool goes_on = true; goes_on && client_.socket.is_open();) {
        snapshot = worker_.snapshot();
        RequestStates::Lease state;
        switch (co_await read_head(snapshot->config(), state)) {
            case HeadResult::complete: goes_on = co_await answer(*snapshot, *state); break;
            case HeadResult::refused:
                lingers_ = true;
                goes_on = false;
                break;
            case HeadResult::ended: goes_on = false; break;
        }
    }
    if (lingers_ && client_.socket.is_open()) {
        client_.socket.shutdown_write();
        co_await client_.linger(kLinger);
    }
    client_.close();
}

Task<bool> Session::handshake(const Snapshot& snapshot) {
    using metrics::HandshakeResult;
    auto& counted = worker_.services().metrics.process().tls_handshakes;
    const auto count = [&counted](HandshakeResult result) {
        counted[metrics::index_of(result)].add();
    };
    struct Deadline {
        Client* client;
        bool passed = false;
        Timer timer{[](void* self) {
                        auto* deadline = static_cast<Deadline*>(self);
                        deadline->passed = true;
                        deadline->client->close();
                    },
                    this};
    } deadline{&client_};
    worker_.loop().arm(deadline.timer,
                       worker_.loop().now() + snapshot.config().client_timeouts.handshake);
    auto session = std::make_unique<TlsSession>(*snapshot.tls, client_.socket.native());
    const bool secure = co_await client_.socket.handshake(std::move(session));
    if (!secure) {
        count(deadline.passed ? HandshakeResult::timeout : HandshakeResult::failed);
        co_return false;
    }
    count(HandshakeResult::ok);
    client_.identity = client_.socket.tls()->peer_identity();
    co_return true;
}

// NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop over reads
Task<Session::HeadResult> Session::read_head(const config::Config& config,
                                             RequestStates::Lease& state) {
    auto& in = client_.in;
    in = std::move(client_.ahead);
    idle_ = in.size() == 0;
    const auto& timeouts = config.client_timeouts;
    idle_since_ = worker_.loop().recent();
    Instant deadline =
        idle_since_ + (requests_ == 0 || !idle_ ? timeouts.header : idle_limit(config));
    bool look = in.size() > 0;
    for (;;) {
        if (look) {
            if (!state) {
                state = worker_.request_states().get(config);
            }
            const auto status = state->parser.parse(in.view());
            if (!status) {
                co_return co_await refuse_head(status.error());
            }
            if (*status == http1::ParseStatus::complete) {
                co_return HeadResult::complete;
            }
        }
        look = false;
        if (in.size() == 0) {
            in.release();
            if (worker_.is_draining()) {
                co_return HeadResult::ended;
            }
        }
        switch (co_await client_.wait_readable(deadline)) {
            case WaitResult::closed: co_return HeadResult::ended;
            case WaitResult::timeout:
                if (in.size() == 0) {
                    co_return HeadResult::ended;
                }
                co_return co_await refuse_head(
                    {Errc::header_timeout, Origin::downstream,
                     "The request head did not arrive in time (client_timeouts.header)."});
            case WaitResult::ready: break;
        }
        if (!in) {
            in = worker_.loop().buffers().get(Client::kFirstRead);
        } else if (in.room() == 0) {
            worker_.loop().buffers().grow(in, 2 * in.capacity());
        }
        const bool was_empty = in.size() == 0;
        const IoResult got = client_.socket.read_some(in.tail(), in.room());
        if (got.status == IoStatus::blocked) {
            continue;
        }
        if (got.status != IoStatus::ok) {
            co_return HeadResult::ended;
        }
        in.commit(got.bytes);
        look = true;
        idle_ = false;
        if (was_empty && requests_ > 0) {
            deadline = worker_.loop().recent() + timeouts.header;
        }
    }
}

Task<Session::HeadResult> Session::refuse_head(const Error& error) {
    auto& services = worker_.services();
    const RequestId id(services.clock.wall(), services.loop.random());
    metrics::count_refusal(services.metrics, error.code);
    const auto answer = bare_refusal(error, id.view());
    std::array<std::string_view, 1> pieces{answer};
    const bool told = co_await client_.write_all(pieces, kLinger, services.budget);
    co_return told ? HeadResult::refused : HeadResult::ended;
}

Task<bool> Session::answer(const Snapshot& snapshot, RequestState& state) {
    const auto& head = state.parser.head();
    const auto& config = snapshot.config();
    ++requests_;
    const Worker::LiveRequest live(worker_);
    client_.abort.reset();
    ResponseRules rules;
    rules.is_http10 = head.minor_version == 0;
    rules.is_head = head.method == http1::Method::head;
    rules.keep_alive =
        head.keep_alive && requests_ < config.limits.requests_per_connection &&
        !worker_.is_draining() &&
        !worker_.services().overload.actions().at_least(routing::OverloadStep::close_connections);
    rules.write_stall = config.client_timeouts.write_stall;
    RequestBody body(client_, state.parser, config.client_timeouts);
    ResponseWriter sink(client_, body, worker_.services().budget, rules, state.head, state.gather);
    const Peer peer{client_.address, snapshot.trusted_proxies.contains(client_.address),
                    client_.identity};
    Exchange exchange{head, peer, body, sink, client_.abort, worker_.loop().recent()};
    co_await handle(worker_.services(), exchange);
    client_.stop_watching();
    lingers_ = sink.committed() && !sink.keeps_connection();
    if (client_.abort.reason() == AbortReason::client_stalled) {
        client_.close(/*reset=*/true);
    }
    const bool goes_on = sink.keeps_connection() && !client_.abort;
    client_.in.clear();
    idle_ = true;
    co_return goes_on;
}

Duration Session::idle_limit(const config::Config& config) const {
    return worker_.services().overload.actions().scaled(config.client_timeouts.keep_alive);
}

void Session::shorten_idle() {
    if (idle_ && requests_ > 0) {
        client_.hasten(idle_since_ + idle_limit(worker_.snapshot()->config()));
    }
}

void Session::drain() {
    if (idle_) {
        client_.close();
    }
}

void Session::abort_request() {
    if (idle_) {
        client_.close();
        return;
    }
    client_.abort.fire(AbortReason::drain_deadline);
    client_.socket.cancel();  // for one that waits for its client
}

}  // namespace millrace::gateway
