// Answer: a backend's answer while it is awaited and relayed, with the attempt behind it.
// Thread-safety: none; one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "config/base/clock.hpp"
#include "gateway/openai/continuation.hpp"
#include "gateway/openai/stream_filter.hpp"
#include "gateway/pipeline/services.hpp"
#include "gateway/runtime/abort_signal.hpp"
#include "gateway/upstream/attempt.hpp"
#include "metrics/settlement.hpp"
#include "metrics/tokens/response_usage.hpp"
#include "routing/endpoints.hpp"
#include "routing/retry.hpp"

namespace millrace::gateway {

/// A backend's answer, begun. Lives in the request's frame; the attempt inside holds connection and
/// lease.
struct Answer {
    explicit Answer(ScratchPool& pool) : scratch(pool.get()) {}

    ScratchPool::Lease scratch;
    routing::Pool* pool = nullptr;  ///< of the endpoint
    routing::EndpointLease endpoint;
    bool fresh_connection = false;    ///< a kept one is not trusted
    bool picked_by_load = false;      ///< what it teaches about its endpoint's speed is used
    std::uint32_t prompt_tokens = 0;  ///< estimate
    std::uint32_t work = 0;  ///< prompt tokens before the first token, those ahead included
    metrics::AttemptRecord* record = nullptr;  ///< the account of the attempt
    AbortSignal* abort = nullptr;  ///< of the attempt alone; null = it has the request's
    const BackendRuntime* backend = nullptr;
    openai::UsageInjection asked;
    std::optional<Attempt> attempt;
    routing::RetryBudget::Lease retry;  ///< held by every attempt but the first
    metrics::Dialect dialect = metrics::Dialect::chat;
    std::unique_ptr<openai::Continuation> continuation;  ///< of streams that may go on elsewhere
    std::string held;  ///< what had to be looked at: the body of an error answer, or events before
                       ///< the first content
    bool complete = false;  ///< the body has been read to its end
    Instant begun_at{};     ///< when the attempt began
    Instant head_at{};      ///< when the response head was there
    Instant ready_at{};     ///< when the request was ready to be sent
    Instant sent_at{};      ///< when it had been handed to the kernel

    /// Set for event streams of the API.
    openai::StreamFilter* filter() { return std::get_if<openai::StreamFilter>(&reader_); }
    const openai::StreamFilter* filter() const {
        return std::get_if<openai::StreamFilter>(&reader_);
    }
    void read_events(metrics::Dialect api, openai::ShowUsage show) {
        reader_.emplace<openai::StreamFilter>(api, show);
    }
    /// Set for other successful answers of the API.
    metrics::ResponseUsage* usage() { return std::get_if<metrics::ResponseUsage>(&reader_); }
    const metrics::ResponseUsage* usage() const {
        return std::get_if<metrics::ResponseUsage>(&reader_);
    }
    void read_usage(metrics::Dialect api) { reader_.emplace<metrics::ResponseUsage>(api); }

    /// The attempt is over: what was said of it, by `attempt` last, is forgotten.
    void clear() {
        attempt.reset();
        endpoint.release();
        reader_.emplace<std::monostate>();
        held.clear();
        complete = false;
    }

private:
    std::variant<std::monostate, openai::StreamFilter, metrics::ResponseUsage> reader_;
};

/// What a request that may be hedged has besides: a second answer, and signals to end either alone.
struct Hedge {
    Hedge(AbortSignal& request, ScratchPool& pool) : fork(request), second(pool) {
        second.abort = &fork.branch(1);
    }

    AbortFork fork;
    Answer second;
};

}  // namespace millrace::gateway
