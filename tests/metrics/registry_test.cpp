#include "metrics/registry.hpp"

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <set>
#include <string>
#include <tuple>

#include "metrics/settlement.hpp"
#include "metrics/text_format.hpp"
#include "tests/metrics/exposition.hpp"

namespace millrace::metrics {
namespace {

using testing::value_of;

void settle_one(Slot& slot, VariantId variant, Outcome outcome = Outcome::completed) {
    RequestRecord record;
    record.variant = variant;
    record.outcome = outcome;
    settle(slot, record);
}

TEST(Registry, GivesTheSameIdForTheSameNameAndNewOnesInOrder) {
    Registry registry(1);
    const VariantId a = registry.intern_variant("m", "a", "ns");
    const VariantId b = registry.intern_variant("m", "b", "ns");
    EXPECT_EQ(b.value, a.value + 1);
    EXPECT_EQ(registry.intern_variant("m", "a", "ns"), a);
    EXPECT_EQ(registry.intern_backend("x"), registry.intern_backend("x"));
    EXPECT_NE(registry.intern_backend("x"), registry.intern_backend("y"));
}

TEST(Registry, AddsUpTheSlots) {
    Registry registry(3);
    const VariantId id = registry.intern_variant("m", "v", "ns");
    for (std::size_t i = 0; i < 3; ++i) {
        settle_one(registry.slot(i), id);
    }
    const DemandTicket first(registry.slot(0), id);
    const DemandTicket second(registry.slot(2), id);
    const testing::LabelList labels{{"model", "m"}, {"variant", "v"}};
    EXPECT_EQ(value_of(registry, "millrace_requests_total",
                       {{"model", "m"}, {"variant", "v"}, {"outcome", "completed"}}),
              3);
    EXPECT_EQ(value_of(registry, "millrace_load_requests", labels), 2);
    EXPECT_EQ(value_of(registry, "millrace_queued_requests", labels), 2);
    EXPECT_EQ(value_of(registry, "millrace_in_flight_requests", labels), 0);
    EXPECT_EQ(value_of(registry, "vllm_pending_requests", {{"namespace", "ns"}, {"model", "m"}}),
              2);
}

TEST(Registry, KeepsCellsInPlaceWhileNamesAreAdded) {
    Registry registry(1);
    const VariantId first = registry.intern_variant("first", "v", "ns");
    const VariantCells* cells = &registry.slot(0).variant(first);
    DemandTicket ticket(registry.slot(0), first);
    for (int i = 0; i < 500; ++i) {
        registry.intern_variant("model-" + std::to_string(i), "v", "ns");
    }
    EXPECT_EQ(&registry.slot(0).variant(first), cells);
    ticket.finish();
    EXPECT_EQ(registry.demand("first").load, 0U);
}

TEST(Registry, CountsNamesBeyondTheCapAsUnknownOrOther) {
    Registry registry(1, {.max_variants = 2, .max_backends = 1, .max_tenants = 2});
    registry.intern_variant("m", "1", "ns");
    registry.intern_variant("m", "2", "ns");
    const VariantId third = registry.intern_variant("m", "3", "ns");
    settle_one(registry.slot(0), third);
    EXPECT_EQ(value_of(registry, "millrace_requests_total",
                       {{"model", "unknown"}, {"outcome", "completed"}}),
              1);
    registry.intern_backend("b1");
    EXPECT_EQ(registry.intern_backend("b2").value, 0U);
    registry.intern_tenant("t1");
    registry.intern_tenant("t2");
    const TenantId other = registry.intern_tenant("t3");
    EXPECT_EQ(other, registry.intern_tenant("other"));
    EXPECT_EQ(value_of(registry, "millrace_series_dropped_total"), 3);
}

TEST(Registry, DoesNotGrowWhateverClientsSend) {
    Registry registry(1);
    registry.intern_variant("m", "v", "ns");
    settle_one(registry.slot(0), VariantId{}, Outcome::refused);
    const auto before = parse_scrape(registry.render()).samples.size();
    for (int i = 0; i < 10'000; ++i) {  // names that the configuration does not know have no id
        settle_one(registry.slot(0), VariantId{}, Outcome::refused);
    }
    EXPECT_EQ(parse_scrape(registry.render()).samples.size(), before);
    EXPECT_EQ(value_of(registry, "millrace_requests_total",
                       {{"model", "unknown"}, {"outcome", "refused"}}),
              10'001);
}

TEST(Registry, HidesARetiredVariantOnceNothingOfItRuns) {
    Registry registry(1);
    const VariantId id = registry.intern_variant("gone", "v", "ns");
    settle_one(registry.slot(0), id);
    DemandTicket ticket(registry.slot(0), id);
    registry.retire(id);
    EXPECT_EQ(value_of(registry, "millrace_load_requests", {{"model", "gone"}}), 1);
    ticket.finish();
    EXPECT_EQ(registry.render().find("gone"), std::string::npos);
    EXPECT_EQ(registry.intern_variant("gone", "v", "ns2"), id);
    EXPECT_EQ(value_of(registry, "millrace_requests_total",
                       {{"model", "gone"}, {"outcome", "completed"}}),
              1)
        << "counts survive, so that a counter never falls";
    EXPECT_EQ(
        value_of(registry, "vllm_pending_requests", {{"namespace", "ns2"}, {"model", "gone"}}), 0);
}

TEST(Registry, KeepsARetiredVariantInItsModelsCounters) {
    Registry registry(1);
    const VariantId old = registry.intern_variant("m", "old", "ns");
    registry.intern_variant("m", "new", "ns");
    settle_one(registry.slot(0), old);
    registry.retire(old);
    EXPECT_EQ(
        value_of(registry, "millrace_settlements_total", {{"model", "m"}, {"exactness", "none"}}),
        1);
    EXPECT_FALSE(value_of(registry, "millrace_load_requests", {{"variant", "old"}}));
}

TEST(Registry, HidesARetiredBackendUntilItReturns) {
    Registry registry(1);
    const BackendId id = registry.intern_backend("pool");
    EXPECT_NE(registry.render().find("\"pool\""), std::string::npos);
    registry.retire(id);
    EXPECT_EQ(registry.render().find("\"pool\""), std::string::npos);
    EXPECT_EQ(registry.intern_backend("pool"), id);
    EXPECT_NE(registry.render().find("\"pool\""), std::string::npos);
}

TEST(Registry, ShowsOtherComponentsGaugesWhileTheirHandleLives) {
    Registry registry(1);
    double bytes = 5;
    {
        const GaugeHandle handle =
            registry.register_gauge(Series::buffered_bytes, {}, [&] { return bytes; });
        const GaugeHandle ready =
            registry.register_gauge(Series::endpoints, {"pool", "ready"}, [] { return 3.0; });
        EXPECT_EQ(value_of(registry, "millrace_buffered_bytes"), 5);
        bytes = 7;
        EXPECT_EQ(value_of(registry, "millrace_buffered_bytes"), 7);
        EXPECT_EQ(
            value_of(registry, "millrace_endpoints", {{"backend", "pool"}, {"state", "ready"}}), 3);
    }
    EXPECT_FALSE(value_of(registry, "millrace_buffered_bytes"));
}

TEST(Registry, MovesAGaugeHandleWithoutLosingTheGauge) {
    Registry registry(1);
    GaugeHandle outer;
    {
        GaugeHandle inner =
            registry.register_gauge(Series::config_generation, {}, [] { return 4.0; });
        outer = std::move(inner);
    }
    EXPECT_EQ(value_of(registry, "millrace_config_generation"), 4);
    outer.reset();
    EXPECT_FALSE(value_of(registry, "millrace_config_generation"));
}

TEST(Registry, CountsConnectionsThatAreClosedOnAnotherThread) {
    Registry registry(2);
    registry.slot(0).process().connections_opened.add(3);
    registry.slot(1).process().connections_closed.add(2);
    EXPECT_EQ(value_of(registry, "millrace_connections"), 1);
    EXPECT_EQ(value_of(registry, "millrace_connections_total"), 3);
    registry.slot(1).process().connections_closed.add(2);
    EXPECT_EQ(value_of(registry, "millrace_connections"), 0) << "never below zero";
}

TEST(Registry, EscapesConfiguredNames) {
    Registry registry(1);
    const std::string odd = "a\"b\\c\nd";
    registry.intern_variant(odd, "v", "ns");
    EXPECT_EQ(value_of(registry, "millrace_load_requests", {{"model", odd}}), 0);
}

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
            case Series::buffered_bytes:
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

TEST(Exposition, WritesNumbersWithoutExponentsAndNamesWhatIsNotFinite) {
    const std::pair<double, const char*> cases[] = {{0, "0"},
                                                    {-0.5, "-0.5"},
                                                    {1'000'000, "1000000"},
                                                    {9'007'199'254'740'993.0, "9007199254740992"},
                                                    {0.1, "0.1"},
                                                    {0.00001, "0.00001"},
                                                    {1e300, "1e+300"},
                                                    {HUGE_VAL, "+Inf"},
                                                    {-HUGE_VAL, "-Inf"},
                                                    {std::nan(""), "NaN"}};
    for (const auto& [value, expected] : cases) {
        std::string out;
        append_number(out, value);
        EXPECT_EQ(out, expected);
    }
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

}  // namespace
}  // namespace millrace::metrics
