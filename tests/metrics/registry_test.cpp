#include "metrics/registry.hpp"

#include <gtest/gtest.h>

#include <string>

#include "metrics/settlement.hpp"
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

}  // namespace
}  // namespace millrace::metrics
