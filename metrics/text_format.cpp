#include "metrics/text_format.hpp"

#include <prometheus/metric_family.h>

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

namespace millrace::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
            case '\\': out += "\\\\"; break;
            case '"': out += "\\\""; break;
            case '\n': out += "\\n"; break;
            default: out += c;
        }
    }
}

std::string_view type_name(MetricType type) {
    switch (type) {
        case MetricType::Counter: return "counter";
        case MetricType::Gauge: return "gauge";
        case MetricType::Histogram: return "histogram";
        default: return "untyped";
    }
}

/// `name_suffix{a="1",le="bound"} value`; `bound` only for buckets.
void append_sample(std::string& out, const MetricFamily& family, std::string_view suffix,
                   const ClientMetric& metric, const double* bound, double value) {
    out += family.name;
    out += suffix;
    char separator = '{';
    for (const auto& label : metric.label) {
        out += separator;
        out += label.name;
        out += "=\"";
        append_escaped(out, label.value);
        out += '"';
        separator = ',';
    }
    if (bound != nullptr) {
        out += separator;
        out += "le=\"";
        append_number(out, *bound);
        out += '"';
        separator = ',';
    }
    out += separator == '{' ? " " : "} ";
    append_number(out, value);
    out += '\n';
}

void append_metric(std::string& out, const MetricFamily& family, const ClientMetric& metric) {
    switch (family.type) {
        case MetricType::Counter:
            append_sample(out, family, "", metric, nullptr, metric.counter.value);
            break;
        case MetricType::Gauge:
            append_sample(out, family, "", metric, nullptr, metric.gauge.value);
            break;
        case MetricType::Histogram:
            for (const auto& bucket : metric.histogram.bucket) {
                append_sample(out, family, "_bucket", metric, &bucket.upper_bound,
                              static_cast<double>(bucket.cumulative_count));
            }
            append_sample(out, family, "_sum", metric, nullptr, metric.histogram.sample_sum);
            append_sample(out, family, "_count", metric, nullptr,
                          static_cast<double>(metric.histogram.sample_count));
            break;
        default: break;
    }
}

}  // namespace

void append_number(std::string& out, double value) {
    if (std::isnan(value)) {
        out += "NaN";
        return;
    }
    if (std::isinf(value)) {
        out += value > 0 ? "+Inf" : "-Inf";
        return;
    }
    std::array<char, 64> text{};
    auto result =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (result.ec != std::errc{}) {  // too many digits without an exponent
        result = std::to_chars(text.data(), text.data() + text.size(), value);
    }
    out.append(text.data(), result.ptr);
}

std::string to_text(const std::vector<MetricFamily>& families) {
    std::string out;
    for (const MetricFamily& family : families) {
        out += "# HELP " + family.name + " " + family.help + "\n# TYPE " + family.name + " ";
        out += type_name(family.type);
        out += '\n';
        for (const ClientMetric& metric : family.metric) {
            append_metric(out, family, metric);
        }
    }
    return out;
}

}  // namespace millrace::metrics
