// A gateway's surroundings going wrong at random: three simulated backends, each behind a proxy
// that breaks, freezes, is drained or leaves the document. All of it follows from a seed, except
// when. Thread-safety: one thread.
#pragma once

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/random.hpp"
#include "tests/integration/crowd.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {

class Chaos {
public:
    explicit Chaos(std::uint64_t seed)
        // Every other run tells streams that wait so.
        : Chaos(seed, seed % 2 == 0 ? "" : "heartbeat: {after: 20ms, every: 100ms}") {}
    Chaos(std::uint64_t seed, std::string_view model)
        : random_(seed), backend_(backend_of(seed)), model_(model) {
        for (std::size_t i = 0; i < 3; ++i) {
            sims.push_back(std::make_unique<SimProcess>("m1"));
            proxies.push_back(std::make_unique<FaultProxy>(sims[i]->port(), FaultPlan{}, seed + i));
        }
    }

    std::vector<std::string> urls() const {
        std::vector<std::string> all;
        for (const auto& proxy : proxies) {
            all.push_back(proxy->url());
        }
        return all;
    }

    std::string document() const { return one_pool(urls(), backend_, model_); }

    /// Mends something more often than not, and breaks something.
    void act(GatewayProcess& gateway) {
        if (random_.below(4) != 0) {
            mend(random_.below(3));
        }
        const auto index = random_.below(3);
        auto& proxy = *proxies[index];
        switch (random_.below(8)) {
            case 0: proxy.down(); break;
            case 1: proxy.reset_all(); break;
            case 2: sims[index]->signal(SIGSTOP); break;
            case 3: {
                auto set = urls();
                if (random_.below(2) == 0) {
                    set.erase(set.begin() + index);
                }
                gateway.write_document(one_pool(set, backend_, model_));
                gateway.signal(SIGHUP);
                break;
            }
            case 4: {
                // It may be none of the pool's endpoints just now.
                const std::string what = random_.below(2) == 0 ? "/drain" : "/undrain";
                gateway.admin("POST", what + "?backend=p&endpoint=" + proxy.url());
                break;
            }
            default: proxy.set({.to_server = toxics(), .to_client = toxics()}); break;
        }
    }

    void mend_all(GatewayProcess& gateway) {
        for (std::size_t i = 0; i < 3; ++i) {
            mend(i);
        }
        gateway.write_document(document());
        EXPECT_TRUE(gateway.reload());
        set_draining(gateway, urls(), false);
    }

    /// For a network that breaks on the other side of the gateway.
    FaultPlan client_plan() { return {.to_server = toxics(), .to_client = toxics()}; }

    /// What the backends saw, in the order in which it began, each line with its `endpoint`.
    std::vector<nlohmann::json> log() const {
        std::vector<nlohmann::json> all;
        for (std::size_t i = 0; i < 3; ++i) {
            for (auto line : sims[i]->log()) {
                line["endpoint"] = proxies[i]->url();
                all.push_back(std::move(line));
            }
        }
        std::ranges::sort(all, {}, [](const auto& line) { return line.value("started", 0.0); });
        return all;
    }

    std::vector<std::unique_ptr<SimProcess>> sims;
    std::vector<std::unique_ptr<FaultProxy>> proxies;

private:
    /// Every third run asks the endpoints how they are.
    static std::string backend_of(std::uint64_t seed) {
        return std::string(
                   "slots_per_endpoint: 3, idle_timeout: 500ms, "
                   "outliers: {failures: 5, ejection: 200ms, max_ejection: 400ms}, "
                   "timeouts: {connect: 400ms, first_byte: 600ms, first_token: 700ms, "
                   "idle: 500ms}") +
               (seed % 3 == 0 ? ", health: {interval: 1s, timeout: 300ms, unhealthy_after: 1}"
                              : "");
    }

    void mend(std::size_t index) {
        sims[index]->signal(SIGCONT);
        proxies[index]->set({});
        proxies[index]->up();
    }

    Toxics toxics() {
        Toxics toxics;
        const auto one_in = [this](std::uint32_t n) { return random_.below(n) == 0; };
        if (one_in(3)) {
            toxics.latency = Toxics::Micros(random_.below(20'000));
            toxics.jitter = Toxics::Micros(random_.below(20'000));
        }
        if (one_in(3)) {
            toxics.slice = 1 + random_.below(8);
            toxics.slice_delay = Toxics::Micros(random_.below(200));
        }
        if (one_in(6)) {
            toxics.bytes_per_second = 2'000 + random_.below(50'000);
        }
        if (one_in(8)) {
            toxics.close_after = random_.below(4'000);
        }
        if (one_in(8)) {
            toxics.reset_after = random_.below(4'000);
        }
        if (one_in(10)) {
            toxics.reset_in = Toxics::Micros(random_.below(300'000));
        }
        toxics.swallow = one_in(12);
        toxics.half_open = one_in(12);
        toxics.slow_close = Toxics::Micros(one_in(8) ? random_.below(200'000) : 0);
        return toxics;
    }

    Random random_;
    std::string backend_;
    std::string_view model_;
};

}  // namespace millrace::test
