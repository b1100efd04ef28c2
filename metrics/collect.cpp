#include <prometheus/collectable.h>

#include <algorithm>
#include <array>
#include <map>

#include "metrics/collector.hpp"
#include "metrics/registry.hpp"
#include "metrics/text_format.hpp"

namespace millrace::metrics {

namespace {

prometheus::MetricType type_of(SeriesType type) {
    switch (type) {
        case SeriesType::counter: return prometheus::MetricType::Counter;
        case SeriesType::gauge: return prometheus::MetricType::Gauge;
        case SeriesType::histogram: return prometheus::MetricType::Histogram;
    }
    return prometheus::MetricType::Untyped;
}

}  // namespace

Collector::Collector(const Registry& registry) : registry_(registry), families_(kSeriesCount) {
    for (std::size_t i = 0; i < kSeriesCount; ++i) {
        families_[i].name = kSeries[i].name;
        families_[i].help = kSeries[i].help;
        families_[i].type = type_of(kSeries[i].type);
    }
}

std::vector<prometheus::MetricFamily> Collector::run() {
    {
        const std::lock_guard lock(registry_.names_mutex_);
        variants();
        models();
        tenants();
        backends();
        process();
    }
    callbacks();
    std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
    return std::move(families_);
}

void Collector::variants() {
    for (std::uint32_t i = 0; i < registry_.variants_.size(); ++i) {
        const VariantId id{i};
        const auto& name = registry_.variants_[i];
        DemandCounts demand;
        std::uint64_t requests = 0;
        for (const auto& slot : registry_.slots_) {
            demand += slot->variant(id).demand.read();
            for (const Counter& counter : slot->variant(id).requests) {
                requests += counter.value();
            }
        }
        // `unknown` appears once something was counted under it; a retired variant stays while it
        // has work.
        const bool visible =
            i == 0 ? requests + demand.load() > 0 : !name.retired || demand.load() > 0;
        demand_.push_back(demand);
        visible_.push_back(visible);
        if (!visible) {
            continue;
        }
        const Labels labels{name.model, name.variant};
        value(Series::queued_requests, labels, as_double(demand.queued));
        value(Series::in_flight_requests, labels, as_double(demand.in_flight));
        value(Series::pending_requests, labels, as_double(demand.pending));
        value(Series::load_requests, labels, as_double(demand.load()));
        by_name(
            Series::requests_total, labels, kOutcomeNames,
            [id](const Slot& slot, std::size_t k) { return slot.variant(id).requests[k].value(); });
        by_name(
            Series::tokens_total, labels, kTokenKindNames,
            [id](const Slot& slot, std::size_t k) { return slot.variant(id).tokens[k].value(); });
        by_name(Series::fallbacks_total, labels, kFallbackReasonNames,
                [id](const Slot& slot, std::size_t k) {
                    return slot.variant(id).fallbacks[k].value();
                });
        by_name(
            Series::hedges_total, labels, kHedgeOutcomeNames,
            [id](const Slot& slot, std::size_t k) { return slot.variant(id).hedges[k].value(); });
        variant_histograms(id, labels);
    }
}

void Collector::variant_histograms(VariantId id, const Labels& labels) {
    const std::span slots(registry_.slots_);
    histogram(Series::time_to_first_token_seconds, labels, slots,
              [id](const Slot& slot) -> const auto& { return slot.variant(id).first_token; });
    histogram(Series::inter_token_seconds, labels, slots,
              [id](const Slot& slot) -> const auto& { return slot.variant(id).inter_token; });
    histogram(Series::request_duration_seconds, labels, slots,
              [id](const Slot& slot) -> const auto& { return slot.variant(id).duration; });
    histogram(Series::queue_wait_seconds, labels, slots,
              [id](const Slot& slot) -> const auto& { return slot.variant(id).queue_wait; });
    histogram(Series::overhead_seconds, labels, slots,
              [id](const Slot& slot) -> const auto& { return slot.variant(id).overhead; });
}

void Collector::models() {
    std::map<std::pair<std::string, std::string>, std::uint64_t> pending;  // (namespace, model)
    for (const auto& [model, state] : registry_.models_) {
        bool any_visible = false;
        for (const std::uint32_t i : state.variants) {
            if (visible_[i]) {
                any_visible = true;
                pending[{registry_.variants_[i].name_space, model}] += demand_[i].pending;
            }
        }
        if (!any_visible) {
            continue;
        }
        // Hidden variants stay in the model's sums: a counter must not fall while the model is
        // shown.
        const auto over_variants = [&](auto read) {
            return [&state, read](const Slot& slot, std::size_t k) {
                std::uint64_t total = 0;
                // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): ids are always set
                for (const std::uint32_t i : state.variants) {
                    total += read(slot.variant(VariantId{i}), k);
                }
                return total;
            };
        };
        const auto retries = over_variants(
            [](const VariantCells& cells, std::size_t) { return cells.sdk_retries.value(); });
        value(Series::sdk_retries_total, {model},
              as_double(sum([&](const Slot& slot) { return retries(slot, 0); })));
        by_name(Series::settlements_total, {model}, kExactnessNames,
                over_variants([](const VariantCells& cells, std::size_t k) {
                    return cells.settlements[k].value();
                }));
        by_name(Series::commits_total, {model}, kCommitNames,
                over_variants([](const VariantCells& cells, std::size_t k) {
                    return cells.commits[k].value();
                }));
    }
    for (const auto& [key, count] : pending) {
        value(Series::vllm_pending_requests, {key.first, key.second}, as_double(count));
    }
}

void Collector::tenants() {
    using ByKind = std::array<std::uint64_t, kCountOf<TokenKind>>;
    const auto accumulate = [](ByKind& total, const CountersBy<TokenKind>& counters) {
        for (std::size_t k = 0; k < total.size(); ++k) {
            total[k] += counters[k].value();
        }
    };
    for (std::uint32_t t = 0; t < registry_.tenants_.list.size(); ++t) {
        std::map<std::string_view, ByKind> by_model;  // sparse: only pairs that were used are shown
        for (const auto& slot : registry_.slots_) {
            const TenantCells& cells = std::as_const(*slot).tenant(TenantId{t});
            accumulate(by_model["unknown"], cells.overflow);
            for (std::size_t v = 0; v < registry_.variants_.size(); ++v) {
                if (const auto* counters = cells.by_variant.try_at(v); counters != nullptr) {
                    accumulate(by_model[registry_.variants_[v].model], *counters);
                }
            }
        }
        for (const auto& [model, total] : by_model) {
            if (total == ByKind{}) {
                continue;
            }
            for (std::size_t k = 0; k < total.size(); ++k) {
                value(Series::tenant_tokens_total,
                      {registry_.tenants_.list[t].name, std::string(model),
                       std::string(kTokenKindNames[k])},
                      as_double(total[k]));
            }
        }
    }
}

void Collector::backends() {
    for (std::uint32_t i = 0; i < registry_.backends_.list.size(); ++i) {
        const BackendId id{i};
        const auto attempts = [id](const Slot& slot, std::size_t k) {
            return slot.backend(id).attempts[k].value();
        };
        const auto total = sum([&](const Slot& slot) {
            std::uint64_t all = 0;
            for (std::size_t k = 0; k < kAttemptOutcomeNames.size(); ++k) {
                all += attempts(slot, k);
            }
            return all;
        });
        if (i == 0 ? total == 0 : registry_.backends_.list[i].retired) {
            continue;
        }
        const Labels labels{registry_.backends_.list[i].name};
        by_name(Series::upstream_attempts_total, labels, kAttemptOutcomeNames, attempts);
        by_name(Series::upstream_responses_total, labels, kStatusClassNames,
                [id](const Slot& slot, std::size_t k) {
                    return slot.backend(id).responses[k].value();
                });
        by_name(Series::upstream_connections_total, labels, kConnectionKindNames,
                [id](const Slot& slot, std::size_t k) {
                    return slot.backend(id).connections[k].value();
                });
        by_name(
            Series::retries_total, labels, kRetryReasonNames,
            [id](const Slot& slot, std::size_t k) { return slot.backend(id).retries[k].value(); });
        by_name(
            Series::unbilled_tokens_total, labels, kTokenKindNames,
            [id](const Slot& slot, std::size_t k) { return slot.backend(id).unbilled[k].value(); });
        mirrored(id, labels.front());
    }
}

void Collector::mirrored(BackendId id, const std::string& backend) {
    using ByOutcome = std::array<std::uint64_t, kCountOf<MirrorOutcome>>;
    std::map<std::string_view, ByOutcome> by_model;  // sparse: only models with a mirror are shown
    for (const auto& slot : registry_.slots_) {
        const auto& cells = std::as_const(*slot).backend(id).mirrored;
        for (std::size_t v = 0; v < registry_.variants_.size(); ++v) {
            const auto* counters = cells.try_at(v);
            for (std::size_t k = 0; counters != nullptr && k < counters->size(); ++k) {
                if (const auto count = (*counters)[k].value(); count > 0) {
                    by_model[registry_.variants_[v].model][k] += count;
                }
            }
        }
    }
    for (const auto& [model, total] : by_model) {
        for (std::size_t k = 0; k < total.size(); ++k) {
            value(Series::mirrored_requests_total,
                  {std::string(model), backend, std::string(kMirrorOutcomeNames[k])},
                  as_double(total[k]));
        }
    }
}

void Collector::process() {
    for (std::size_t code = 0; code < static_cast<std::size_t>(Errc::kErrcCount); ++code) {
        value(Series::refusals_total, {std::string(to_string(static_cast<Errc>(code)))},
              as_double(sum([code](const Slot& s) { return s.process().refusals[code].value(); })));
    }
    const auto opened = sum([](const Slot& s) { return s.process().connections_opened.value(); });
    const auto closed = sum([](const Slot& s) { return s.process().connections_closed.value(); });
    // Opened and closed may be counted by different threads; a close that is seen first must not
    // wrap around.
    value(Series::connections, {}, as_double(opened - std::min(opened, closed)));
    value(Series::connections_total, {}, as_double(opened));
    by_name(Series::tls_handshakes_total, {}, kHandshakeResultNames,
            [](const Slot& s, std::size_t k) { return s.process().tls_handshakes[k].value(); });
    by_name(Series::config_reloads_total, {}, kReloadResultNames,
            [](const Slot& s, std::size_t k) { return s.process().config_reloads[k].value(); });
    value(Series::events_unread_total, {},
          as_double(sum([](const Slot& s) { return s.process().events_unread.value(); })));
    value(Series::series_dropped_total, {}, as_double(registry_.dropped_));
    value(Series::build_info, {registry_.options_.version}, 1);
    for (std::size_t i = 0; i < registry_.options_.workers; ++i) {
        histogram(Series::event_loop_lag_seconds, {std::to_string(i)},
                  std::span(registry_.slots_).subspan(i, 1),
                  [](const Slot& slot) -> const auto& { return slot.process().loop_lag; });
    }
}

void Collector::callbacks() {
    const std::lock_guard lock(registry_.callbacks_mutex_);
    for (const auto& callback : registry_.callbacks_) {
        value(callback.series, callback.label_values, callback.read());
    }
}

std::vector<prometheus::MetricFamily> Registry::collect() const {
    return Collector(*this).run();
}

std::string Registry::render() const {
    return to_text(collect());
}

std::shared_ptr<prometheus::Collectable> Registry::collectable() const {
    class Adapter final : public prometheus::Collectable {
    public:
        explicit Adapter(const Registry& registry) : registry_(registry) {}
        std::vector<prometheus::MetricFamily> Collect() const override {
            return registry_.collect();
        }

    private:
        const Registry& registry_;
    };
    return std::make_shared<Adapter>(*this);
}

}  // namespace millrace::metrics
