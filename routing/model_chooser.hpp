// ModelChooser: how a configured model without variants of its own chooses the one that serves a
// request, by rules or by what was measured of its candidates. Compiled with the catalog, asked by
// decide() before anything else is looked up.
//
// Thread-safety: immutable; tickets and measures are shared and lock-free. The EndpointView and
// Random belong to the calling thread. Views in results live as long as the chooser.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/random.hpp"
#include "config/model.hpp"
#include "routing/auto_model.hpp"
#include "routing/endpoints.hpp"
#include "routing/facts.hpp"
#include "routing/rules.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

/// A model that an `auto` model may choose.
struct ModelCandidate {
    std::string model;
    config::Price price;
    std::vector<std::shared_ptr<Pool>> pools;  ///< of its variants with a weight
    std::shared_ptr<ModelMeasure> measure;     ///< never null
};

struct ModelChooser {
    std::string model_id;
    RuleSet rules;                           ///< empty = `auto`
    std::vector<ModelCandidate> candidates;  ///< of `auto`
    AutoPolicy policy;
    /// Of the last target or first candidate: its ratio of tokens to bytes stands for all. Null if
    /// that has no backend.
    std::shared_ptr<Pool> usual_pool;
};

/// Gives the pools of a model's variants with a weight, each once.
using PoolsOfModel = std::function<std::vector<std::shared_ptr<Pool>>(const std::string& id)>;

/// The chooser of `model`, which has `rules` or `auto`, in a valid configuration.
ModelChooser make_chooser(const config::Config& config, const config::Model& model,
                          const PoolsOfModel& pools_of, TicketDirectory& tickets,
                          ModelMeasures& measures);

/// The rules as configured, for RuleSet::compile.
std::vector<ModelRule> model_rules(const std::vector<config::ModelRule>& rules);

/// The model for a request; without `facts.rules` nothing is known of its body. Error:
/// model_not_found when no rule applies, which a valid configuration rules out.
Result<std::string_view> choose(const ModelChooser& chooser, const RequestFacts& facts,
                                EndpointView& endpoints, Random& random, Trace* trace = nullptr);

}  // namespace millrace::routing
