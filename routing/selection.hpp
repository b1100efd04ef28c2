// Selection: what one request wants of an endpoint, and the choice by it among the endpoints of a
// pool as they are now. Made once per request, used at every dispatch: at once or when its turn
// comes. Thread-safety: select() from any thread; a Selection is not changed meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "config/base/random.hpp"
#include "routing/candidate.hpp"
#include "routing/endpoints.hpp"
#include "routing/pickers.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

struct Selection {
    const Policy* policy = nullptr;  ///< null = the least busy of two (pickers.hpp)
    PickRequest request = {};
    std::uint64_t adapter = 0;               ///< stable_hash of its name; 0 = none
    std::vector<std::uint64_t> blocks = {};  ///< of the prompt (prompt_blocks.hpp)
    std::uint32_t tokens_per_block = 0;      ///< estimate
    const PrefixIndex* prefixes = nullptr;   ///< of the pool; set when there are blocks
    Avoided avoid = {};                      ///< failed this request
};

struct Selected {
    EndpointLease lease;
    Reason reason = Reason::least_pending;
    std::uint32_t work = 0;  ///< prompt tokens before the first token, those ahead included
    explicit operator bool() const { return static_cast<bool>(lease); }
};

/// A lease on one that is ready and has a free slot; empty when there is none. What just failed is
/// taken only when nothing else is ready.
Selected select(const EndpointSet& set, const Selection& selection, Random& random,
                Trace* trace = nullptr);

/// The request is sent there: what its prompt and adapter teach.
void note_dispatch(const Pool& pool, const Selection& selection, const EndpointLease& lease);

}  // namespace millrace::routing
