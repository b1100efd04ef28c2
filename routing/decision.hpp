// decide(): the whole of routing for one request, in the order choose model (if the one asked
// for chooses another) → resolve → choose variant → pick endpoint. The pipeline and `millrace
// explain` call the same two functions, so an explanation cannot differ from what happens.
//
// A Decision views the catalog snapshot (and, for a name the configuration does not know, the
// facts); the request holds both. Thread-safety: `EndpointView` and `Random` belong to the calling
// thread, the rest is shared.
#pragma once

#include <string_view>

#include "config/base/error.hpp"
#include "config/base/random.hpp"
#include "routing/catalog.hpp"
#include "routing/endpoints.hpp"
#include "routing/facts.hpp"
#include "routing/selection.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

struct Decision {
    std::string_view model_id;  ///< effective id; empty = the request names none
    std::string_view
        served_name;  ///< what the upstream body's `model` must say; empty = leave it alone
    const Rule* rule = nullptr;            ///< never null
    const Target* target = nullptr;        ///< never null, its pool neither
    const CompiledMatch* match = nullptr;  ///< null = by `models`
    std::string_view
        chosen_by;  ///< id of the model that was asked for and chose this one; or empty
};

/// Resolves the model and route and chooses the variant. A variant without ready endpoints hands
/// its share to ready siblings (`unready: redraw`), keeps it until it has one (`hold`, and `redraw`
/// when no sibling is ready), or is refused (`unavailable`). Errors: those of Catalog::find, and
/// zero_weight, unresolved_backend, no_ready_endpoint, path_not_found for a control endpoint.
Result<Decision> decide(const RequestFacts& facts, const Catalog& catalog, EndpointView& endpoints,
                        Random& random, Trace* trace = nullptr);

/// The same for a rule that is known already: only the variant is chosen. Errors: zero_weight,
/// unresolved_backend, no_ready_endpoint.
Result<Decision> decide(const Rule& rule, const RequestFacts& facts, EndpointView& endpoints,
                        Random& random);

/// Leases an endpoint of the decided pool. Empty: none is ready, all slots are taken, or others
/// wait already, so the request has to queue.
Selected pick_endpoint(const Decision& decision, const Selection& selection,
                       EndpointView& endpoints, Random& random, Trace* trace = nullptr);

/// The no_ready_endpoint of a decision whose pool has none.
Error not_ready(const Decision& decision);

}  // namespace millrace::routing
