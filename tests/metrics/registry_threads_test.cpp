// Writers and scrapers at the same time; meant for ThreadSanitizer, and checks the sums in every
// build.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "config/base/random.hpp"
#include "metrics/registry.hpp"
#include "metrics/settlement.hpp"
#include "tests/metrics/exposition.hpp"

namespace millrace::metrics {
namespace {

constexpr std::size_t kWriters = 3;
constexpr int kRequests = 4000;

void serve(Slot& slot, std::uint64_t seed, VariantId variant, TenantId tenant, BackendId backend) {
    Random random(seed);
    for (int i = 0; i < kRequests; ++i) {
        DemandTicket ticket(slot, variant);
        RequestRecord record;
        record.variant = variant;
        record.tenant = tenant;
        record.outcome = Outcome::completed;
        record.tokens.prompt = 2;
        record.tokens.completion = 3;
        ticket.dispatch();
        if (random.below(4) == 0) {
            ticket.requeue();
            ticket.dispatch();
        }
        ticket.first_content();
        AttemptRecord& attempt = record.attempts.add();
        attempt.backend = backend;
        attempt.outcome = AttemptOutcome::ok;
        attempt.billed = true;
        record.first_token = Duration(random.below(1'000'000));
        settle(slot, record);
    }
}

TEST(RegistryThreads, ScrapesSeeConsistentGaugesWhileWorkersCountAndNamesAreAdded) {
    Registry registry(kWriters);
    const VariantId variant = registry.intern_variant("m", "v", "ns");
    const TenantId tenant = registry.intern_tenant("t");
    const BackendId backend = registry.intern_backend("b");
    std::atomic<std::size_t> running{kWriters};
    std::vector<std::jthread> threads;
    for (std::size_t w = 0; w < kWriters; ++w) {
        threads.emplace_back([&, w] {
            serve(registry.slot(w), w + 1, variant, tenant, backend);
            running.fetch_sub(1);
        });
    }
    DemandCursor cursor;
    double last_requests = 0;
    for (int round = 0; running.load() > 0; ++round) {
        const ModelDemand demand = registry.demand("m", cursor);
        // Each writer has at most one request and one attempt, and never both queued and in flight.
        ASSERT_LE(demand.load, kWriters);
        ASSERT_LE(demand.pending, demand.load);
        if (round % 16 == 0) {
            const double requests = testing::value_of(registry, "millrace_requests_total",
                                                      {{"model", "m"}, {"outcome", "completed"}})
                                        .value_or(-1);
            ASSERT_GE(requests, last_requests);
            last_requests = requests;
            registry.intern_variant("extra-" + std::to_string(round % 400), "v", "ns");
        }
    }
    threads.clear();
    constexpr double kAll = kWriters * kRequests;
    EXPECT_EQ(testing::value_of(registry, "millrace_requests_total",
                                {{"model", "m"}, {"outcome", "completed"}}),
              kAll);
    EXPECT_EQ(testing::value_of(registry, "millrace_tenant_tokens_total",
                                {{"tenant", "t"}, {"model", "m"}, {"kind", "completion"}}),
              3 * kAll);
    EXPECT_EQ(
        testing::value_of(registry, "millrace_time_to_first_token_seconds_count", {{"model", "m"}}),
        kAll);
    EXPECT_EQ(registry.demand("m", cursor).load, 0U);
}

}  // namespace
}  // namespace millrace::metrics
