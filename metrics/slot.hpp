// Slot: everything one thread counts. Each worker, and each other thread that counts, owns one; a
// scrape adds them up.
//
// Hot path: `slot.variant(id).requests[index_of(outcome)].add()`: two loads of chunk pointers, then
// load, add, store. An invalid id counts under `unknown` (id 0 of every kind), so that a caller
// never has to ask. Thread-safety: written by the owning thread only; read by any. Ids come from
// Registry and stay valid for ever.
#pragma once

#include <array>
#include <cstdint>

#include "config/base/error.hpp"
#include "config/base/ids.hpp"
#include "metrics/chunked.hpp"
#include "metrics/counter.hpp"
#include "metrics/histogram.hpp"
#include "metrics/labels.hpp"

namespace millrace::metrics {

using VariantId = StrongId<struct VariantTag>;
using BackendId = StrongId<struct BackendTag>;
using TenantId = StrongId<struct TenantTag>;

template <class Enum>
using CountersBy = std::array<Counter, kCountOf<Enum>>;

struct VariantCells {
    DemandCell demand;
    Counter arrivals;  ///< tickets ever opened; how a look at the demand knows that something came
                       ///< and went
    Counter sdk_retries;
    CountersBy<Outcome> requests;
    CountersBy<TokenKind> tokens;
    std::array<Counter, kExactnessNames.size()> settlements;
    CountersBy<Commit> commits;
    CountersBy<FallbackReason> fallbacks;
    CountersBy<HedgeOutcome> hedges;
    Histogram<kFirstTokenBounds> first_token;
    Histogram<kInterTokenBounds> inter_token;
    Histogram<kRequestBounds> duration;
    Histogram<kQueueWaitBounds> queue_wait;
    Histogram<kOverheadBounds> overhead;
};

struct BackendCells {
    CountersBy<AttemptOutcome> attempts;
    std::array<Counter, kStatusClassNames.size()> responses;
    CountersBy<ConnectionKind> connections;
    CountersBy<RetryReason> retries;
    CountersBy<TokenKind> unbilled;
    /// Copies of requests by the variant of the original. Made on first use: few variants are
    /// mirrored.
    Chunked<CountersBy<MirrorOutcome>, 64> mirrored;
};

/// Tokens of one tenant by variant. Made on first use: tenants × variants is sparse.
struct TenantCells {
    Chunked<CountersBy<TokenKind>, 64> by_variant;
    CountersBy<TokenKind>
        overflow;  ///< used when there is no memory for a chunk; shown as model `unknown`
};

struct ProcessCells {
    std::array<Counter, static_cast<std::size_t>(Errc::kErrcCount)> refusals;
    Counter connections_opened;
    Counter connections_closed;  ///< may be counted on another thread's slot than the opening
    CountersBy<HandshakeResult> tls_handshakes;
    CountersBy<ReloadResult> config_reloads;
    Counter events_unread;
    Histogram<kLoopLagBounds> loop_lag;
};

class alignas(64) Slot {
public:
    VariantCells& variant(VariantId id) noexcept { return variants_.at(known(id)); }
    const VariantCells& variant(VariantId id) const noexcept { return variants_.at(known(id)); }
    BackendCells& backend(BackendId id) noexcept { return backends_.at(known(id)); }
    const BackendCells& backend(BackendId id) const noexcept { return backends_.at(known(id)); }
    const TenantCells& tenant(TenantId id) const noexcept { return tenants_.at(known(id)); }
    ProcessCells& process() noexcept { return process_; }
    const ProcessCells& process() const noexcept { return process_; }

    /// Token counters of a tenant with a variant; never fails.
    CountersBy<TokenKind>& tenant_tokens(TenantId tenant, VariantId variant) noexcept {
        TenantCells& cells = tenants_.at(known(tenant));
        auto* found = cells.by_variant.ensure_nothrow(known(variant));
        return found == nullptr ? cells.overflow : *found;
    }

    /// A copy of a variant's request was sent to the backend, or was to be.
    void count_mirrored(BackendId backend, VariantId variant, MirrorOutcome outcome) noexcept {
        auto* found = backends_.at(known(backend)).mirrored.ensure_nothrow(known(variant));
        if (found != nullptr) {
            (*found)[index_of(outcome)].add();
        }
    }

private:
    friend class Registry;

    template <class Id>
    static constexpr std::size_t known(Id id) noexcept {
        return id.valid() ? id.value : 0;
    }

    Chunked<VariantCells> variants_;
    Chunked<BackendCells> backends_;
    Chunked<TenantCells> tenants_;
    ProcessCells process_;
};

}  // namespace millrace::metrics
