// Collector: one scrape. Sums the slots into metric families in the order of kSeries.
//
// Private to metrics (it shows prometheus-cpp types): include it from collect.cpp only.
// Thread-safety: made and used by one scraping thread; it takes the registry's locks itself.
#pragma once

#include <prometheus/metric_family.h>

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/registry.hpp"

namespace millrace::metrics {

class Collector {
public:
    explicit Collector(const Registry& registry);
    std::vector<prometheus::MetricFamily> run();

private:
    using Labels = std::vector<std::string>;

    static double as_double(std::uint64_t value) { return static_cast<double>(value); }

    template <class Read>
    std::uint64_t sum(Read read) const {
        std::uint64_t total = 0;
        for (const auto& slot : registry_.slots_) {
            total += read(*slot);
        }
        return total;
    }

    prometheus::ClientMetric& add(Series series, const Labels& values) {
        auto& metric = families_[static_cast<std::size_t>(series)].metric.emplace_back();
        for (std::size_t i = 0; i < values.size(); ++i) {
            metric.label.push_back({std::string(info(series).label_names[i]), values[i]});
        }
        return metric;
    }

    void value(Series series, const Labels& values, double number) {
        auto& metric = add(series, values);
        if (info(series).type == SeriesType::counter) {
            metric.counter.value = number;
        } else {
            metric.gauge.value = number;
        }
    }

    /// One series per name of a label enum; `read(slot, index)` gives a slot's count.
    template <class Read>
    void by_name(Series series, const Labels& labels, std::span<const std::string_view> names,
                 Read read) {
        for (std::size_t i = 0; i < names.size(); ++i) {
            Labels all = labels;
            all.emplace_back(names[i]);
            value(series, all, as_double(sum([&](const Slot& slot) { return read(slot, i); })));
        }
    }

    /// `read(slot)` gives a slot's histogram; slots is the range to add up.
    template <class Read>
    void histogram(Series series, const Labels& labels,
                   std::span<const std::unique_ptr<Slot>> slots, Read read) {
        auto& out = add(series, labels).histogram;
        const auto bounds = info(series).bounds_ns;
        std::uint64_t count = 0;
        std::uint64_t sum_ns = 0;
        for (std::size_t i = 0; i <= bounds.size(); ++i) {
            for (const auto& slot : slots) {
                count += read(std::as_const(*slot)).bucket(i);
            }
            out.bucket.push_back({count, i < bounds.size()
                                             ? as_double(bounds[i]) / 1e9
                                             : std::numeric_limits<double>::infinity()});
        }
        for (const auto& slot : slots) {
            sum_ns += read(std::as_const(*slot)).sum_ns();
        }
        out.sample_count = count;
        out.sample_sum = as_double(sum_ns) / 1e9;
    }

    void variants();
    void variant_histograms(VariantId id, const Labels& labels);
    void models();
    void tenants();
    void backends();
    void mirrored(BackendId id, const std::string& backend);
    void routes();
    void process();
    void callbacks();

    const Registry& registry_;
    std::vector<prometheus::MetricFamily> families_;
    std::vector<DemandCounts> demand_;  ///< per variant, read once so that all gauges agree
    std::vector<bool> visible_;         ///< per variant
};

}  // namespace millrace::metrics
