// What the data path needs of a configured backend beside its endpoints: credential, TLS identity,
// and what was learned about it while it served.
//
// Thread-safety: BackendRuntime is immutable, one per configuration snapshot; BackendLearned is
// shared by snapshots and lock-free.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "config/model.hpp"
#include "gateway/tls/context.hpp"

namespace millrace::gateway {

/// Survives reloads while the backend keeps its name.
struct BackendLearned {
    /// Of English text, until something is learned.
    static constexpr float kUsualTokensPerByte = 0.25F;

    /// It answered 400 to `continuous_usage_stats`, so it is not asked again.
    std::atomic<bool> refuses_continuous_usage{false};
    /// Prompt tokens per byte of prompt JSON, from exact counts; used to estimate where none came.
    std::atomic<float> tokens_per_byte{kUsualTokensPerByte};
};

struct BackendRuntime {
    const config::Backend* settings = nullptr;
    std::shared_ptr<const TlsClientContext> tls;  ///< for its https endpoints
    std::string authorization;                    ///< whole field value; empty = none is sent
    std::shared_ptr<BackendLearned> learned;
};

}  // namespace millrace::gateway
