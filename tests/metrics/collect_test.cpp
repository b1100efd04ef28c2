// What a scrape shows: the sums of all slots as metric families, and their text.
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <set>
#include <string>
#include <tuple>

#include "metrics/registry.hpp"
#include "metrics/settlement.hpp"
#include "tests/metrics/exposition.hpp"

namespace millrace::metrics {
namespace {

using testing::value_of;

/// Puts something into every series, so that each of them is shown.
std::vector<GaugeHandle> fill(Registry& registry) {
    std::vector<GaugeHandle> handles;
    for (const SeriesInfo& series : kSeries) {
        // Those that no slot counts come from callbacks.
        switch (series.id) {
            case Series::endpoints:
                handles.push_back(
                    registry.register_gauge(series.id, {"pool", "ready"}, [] { return 1.0; }));
                break;
            case Series::rollout_weight_percent:
                handles.push_back(registry.register_gauge(series.id, {"m"}, [] { return 5.0; }));
                break;
            case Series::rollout_phase:
                handles.push_back(
                    registry.register_gauge(series.id, {"m", "running"}, [] { return 1.0; }));
                break;
            case Series::buffered_bytes:
            case Series::overload_step:
            case Series::config_last_reload_success:
            case Series::config_generation:
            case Series::access_log_dropped_total:
            case Series::process_open_fds:
            case Series::process_resident_memory_bytes:
            case Series::process_cpu_seconds_total:
            case Series::process_start_time_seconds:
                handles.push_back(registry.register_gauge(series.id, {}, [] { return 1.0; }));
                break;
            default: break;
        }
    }
    RequestRecord record;
    record.variant = registry.intern_variant("m", "v", "ns");
    record.tenant = registry.intern_tenant("t");
    record.tokens.prompt = 1;
    AttemptRecord& attempt = record.attempts.add();
    attempt.backend = registry.intern_backend("pool");
    settle(registry.slot(0), record);
    registry.slot(0).count_mirrored(attempt.backend, record.variant, MirrorOutcome::ok);
    registry.slot(0).process().loop_lag.observe(Duration(1000));
    return handles;
}

TEST(Exposition, ParsesWithoutABadLineAndHoldsEverySeriesOfTheTableAndNoOther) {
    Registry registry(2, {.version = "1.2.3"});
    const auto handles = fill(registry);
    const std::string text = registry.render();
    const Scrape scrape = parse_scrape(text);
    EXPECT_EQ(scrape.bad_lines, 0U);
    std::set<std::string> expected;
    for (const SeriesInfo& series : kSeries) {
        const std::string name(series.name);
        EXPECT_NE(text.find("# HELP " + name + " "), std::string::npos) << name;
        EXPECT_NE(text.find("# TYPE " + name + " " + std::string(to_string(series.type)) + "\n"),
                  std::string::npos)
            << name;
        if (series.type == SeriesType::histogram) {
            expected.insert({name + "_bucket", name + "_sum", name + "_count"});
        } else {
            expected.insert(name);
        }
    }
    std::set<std::string> seen;
    for (const Sample& sample : scrape.samples) {
        seen.emplace(sample.name);
    }
    EXPECT_EQ(seen, expected);
    EXPECT_EQ(value_of(registry, "millrace_build_info", {{"version", "1.2.3"}}), 1);
}

TEST(Exposition, ShowsMirrorsByModelAndBackendOverVariantsAndSlots) {
    Registry registry(2);
    const auto first = registry.intern_variant("m", "v", "ns");
    const auto second = registry.intern_variant("m", "w", "ns");
    const auto backend = registry.intern_backend("shadow");
    registry.slot(0).count_mirrored(backend, first, MirrorOutcome::dropped);
    registry.slot(1).count_mirrored(backend, second, MirrorOutcome::dropped);
    registry.intern_variant("other", "v", "ns");
    const auto text = registry.render();
    const auto count = [&](const char* model, const char* outcome) {
        return testing::value_in(text, "millrace_mirrored_requests_total",
                                 {{"model", model}, {"backend", "shadow"}, {"outcome", outcome}});
    };
    EXPECT_EQ(count("m", "dropped"), 2);
    EXPECT_EQ(count("m", "ok"), 0);
    EXPECT_EQ(count("other", "ok"), std::nullopt) << "it has no mirror";
}

TEST(Exposition, CountsFallbacksForTheVariantThatWasLeft) {
    Registry registry(1);
    const auto id = registry.intern_variant("m", "v", "ns");
    registry.slot(0).variant(id).fallbacks[index_of(FallbackReason::queue)].add();
    EXPECT_EQ(value_of(registry, "millrace_fallbacks_total", {{"model", "m"}, {"reason", "queue"}}),
              1);
}

TEST(Exposition, WritesHistogramsCumulativelyWithReadableBounds) {
    Registry registry(2);
    const VariantId id = registry.intern_variant("m", "v", "ns");
    registry.slot(0).variant(id).overhead.observe(std::chrono::microseconds(20));
    registry.slot(1).variant(id).overhead.observe(std::chrono::milliseconds(80));
    registry.slot(1).variant(id).overhead.observe(std::chrono::seconds(2));
    const std::string text = registry.render();
    const auto bucket = [&](const char* bound) {
        return testing::value_in(text, "millrace_overhead_seconds_bucket", {{"le", bound}});
    };
    EXPECT_EQ(bucket("0.00001"), 0);
    EXPECT_EQ(bucket("0.000025"), 1);
    EXPECT_EQ(bucket("0.05"), 1);
    EXPECT_EQ(bucket("0.1"), 2);
    EXPECT_EQ(bucket("+Inf"), 3);
    EXPECT_EQ(testing::value_in(text, "millrace_overhead_seconds_count", {}), 3);
    EXPECT_NEAR(testing::value_in(text, "millrace_overhead_seconds_sum", {}).value_or(0), 2.08002,
                1e-9);
}

/// Samples in any order, with bounds as numbers: prometheus-cpp writes `1e-05` and the count before
/// the buckets.
std::multiset<std::tuple<std::string, std::string, double, double>> contents(
    const std::string& text) {
    std::multiset<std::tuple<std::string, std::string, double, double>> all;
    const Scrape scrape = parse_scrape(text);
    EXPECT_EQ(scrape.bad_lines, 0U);
    for (const Sample& sample : scrape.samples) {
        all.emplace(sample.name, sample.label("model").value_or(""),
                    std::stod(sample.label("le").value_or("0")), sample.value);
    }
    return all;
}

TEST(Exposition, SaysTheSameAsPrometheusCppsOwnSerializer) {
    Registry registry(2);
    const auto handles = fill(registry);
    registry.intern_variant("odd \"\\\n name", "v", "ns");
    const std::string reference = prometheus::TextSerializer().Serialize(registry.collect());
    EXPECT_EQ(contents(registry.render()), contents(reference));
}

TEST(Exposition, IsTheSameThroughPrometheusCpp) {
    Registry registry(1);
    registry.intern_variant("m", "v", "ns");
    const auto families = registry.collectable()->Collect();
    ASSERT_FALSE(families.empty());
    EXPECT_EQ(families.front().name, "millrace_queued_requests");
    EXPECT_EQ(families.size(), registry.collect().size());
}

TEST(Collect, ShowsOnlyFamiliesThatHaveASample) {
    const Registry registry(1);
    for (const auto& family : registry.collect()) {
        EXPECT_FALSE(family.metric.empty()) << family.name;
        EXPECT_NE(family.name, "millrace_load_requests") << "no variant was interned";
    }
}

TEST(Collect, AddsUpATenantsTokensByModelOverSlotsAndVariants) {
    Registry registry(2);
    const VariantId a = registry.intern_variant("m", "a", "ns");
    const VariantId b = registry.intern_variant("m", "b", "ns");
    const TenantId tenant = registry.intern_tenant("acme");
    const auto prompt = index_of(TokenKind::prompt);
    registry.slot(0).tenant_tokens(tenant, a)[prompt].add(3);
    registry.slot(1).tenant_tokens(tenant, b)[prompt].add(4);
    EXPECT_EQ(value_of(registry, "millrace_tenant_tokens_total",
                       {{"tenant", "acme"}, {"model", "m"}, {"kind", "prompt"}}),
              7);
}

}  // namespace
}  // namespace millrace::metrics
