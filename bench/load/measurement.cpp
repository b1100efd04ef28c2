#include "bench/load/measurement.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "bench/load/processes.hpp"

namespace millrace::load {
namespace {

using Json = nlohmann::ordered_json;

double microseconds(Duration value) {
    return static_cast<double>(value.count()) / 1000.0;
}

Json summary(const Histogram& histogram) {
    return {{"count", histogram.count()},
            {"mean", microseconds(histogram.mean())},
            {"p50", microseconds(histogram.percentile(0.5))},
            {"p90", microseconds(histogram.percentile(0.9))},
            {"p99", microseconds(histogram.percentile(0.99))},
            {"p99.9", microseconds(histogram.percentile(0.999))},
            {"max", microseconds(histogram.max())}};
}

}  // namespace

Duration from_seconds(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void announce(std::string_view what) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
    std::fflush(stderr);
}

void Measurement::schedule(std::function<void()> on_end) {
    const Instant start = Loop::now();
    const Instant close = start + from_seconds(options_.warmup + options_.duration);
    loop_.at(start + from_seconds(options_.warmup), [this] { begin(); });
    loop_.at(close, [this, on_end = std::move(on_end)] {
        end();
        on_end();
    });
    loop_.at(close + from_seconds(options_.timeout), [this] { loop_.stop(); });
}

void Measurement::begin() {
    open_ = true;
    own_ = own_cpu_time();
    watched_ = cpu_time_of(options_.watch);
    began_ = Loop::now();
}

void Measurement::end() {
    if (!open_) {
        return;
    }
    open_ = false;
    length_ = Loop::now() - began_;
    watched_ = cpu_time_of(options_.watch) - watched_;
    own_ = own_cpu_time() - own_;
}

void Measurement::fail(std::string_view why, std::uint64_t count) {
    if (count == 0) {
        return;
    }
    failures_ += count;
    const auto kind = kinds_.find(why);
    (kind != kinds_.end() ? kind->second : kinds_[std::string(why)]) += count;
}

int Measurement::report(std::string_view mode) const {
    const double window = seconds(length_);
    Json json{{"mode", mode},
              {"window_s", window},
              {"requests", requests},
              {"errors", failures_},
              {"error_kinds", kinds_},
              {"requests_per_s", window > 0 ? static_cast<double>(requests) / window : 0}};
    for (const auto& [name, value] : numbers_) {
        json[name] = value;
    }
    if (latency.count() > 0) {
        json["latency_us"] = summary(latency);
    }
    if (events > 0) {
        json["events"] = events;
        json["first_token_us"] = summary(first_token);
        json["gap_us"] = summary(gap);
    }
    if (!options_.watch.empty() && window > 0) {
        json["cpu_us"] = microseconds(watched_);
        json["utilisation"] = seconds(watched_) / window;
        if (requests > 0) {
            json["cpu_us_per_request"] = microseconds(watched_) / static_cast<double>(requests);
        }
        if (events > 0) {
            json["cpu_us_per_event"] = microseconds(watched_) / static_cast<double>(events);
        }
    }
    json["own_cpu_us"] = microseconds(own_);
    std::printf("%s\n", json.dump().c_str());
    return failures_ == 0 ? 0 : 1;
}

}  // namespace millrace::load
