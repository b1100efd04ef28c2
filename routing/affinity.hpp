// Affinity that cannot build a hot spot: to whom a session belongs, and how much load an endpoint
// may have before it loses what belongs to it.
//
// The guard is consistent hashing with bounded loads (Mirrokni, Thorup & Zadimoghaddam 2018): with
// the new request counted in, an endpoint may hold ceil(factor * load / n), and four in any case,
// which are no hot spot. Loads are live leases, so the bound holds for as long as streams run. With
// slow start an endpoint's part of the load is its share of all shares instead of 1/n.
// Thread-safety: pure values.
#pragma once

#include <cstdint>
#include <span>

#include "routing/candidate.hpp"

namespace millrace::routing {

class LoadGuard {
public:
    /// Over all candidates, those without room included. A factor below 1 counts as 1.
    LoadGuard(std::span<const Candidate> candidates, double factor);

    /// Affinity may choose it. Always true for the least loaded of those that can be chosen, so
    /// the guard never leaves nobody.
    bool admits(const Candidate& candidate) const {
        return static_cast<double>(candidate.in_flight) + 1 <= bound(candidate) ||
               relative_load(candidate) <= least_load_;
    }
    /// Most requests in flight that affinity may lead to.
    double bound(const Candidate& candidate) const;

private:
    double load_per_share_ = 0;
    double least_load_ = 0;
};

/// Rendezvous hashing (Thaler & Ravishankar 1998), in [0, 1): a session belongs to the endpoint
/// with the largest value, so a session moves only away from an endpoint that left or towards one
/// that joined. The same in every process and release.
double session_affinity(std::uint64_t session_key, std::uint64_t identity);

}  // namespace millrace::routing
