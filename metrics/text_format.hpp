// The Prometheus text format 0.0.4.
//
// prometheus-cpp's serializer goes through an ostream and takes tens of milliseconds where this
// takes one or two; it stays as the reference in the tests. Private to metrics. Thread-safety:
// pure.
#pragma once

#include <string>
#include <vector>

namespace prometheus {
struct MetricFamily;
}  // namespace prometheus

namespace millrace::metrics {

/// Appends a sample value: whole numbers and fractions without an exponent where they fit, `NaN`,
/// `+Inf`, `-Inf`.
void append_number(std::string& out, double value);

/// Counters, gauges and histograms; other types have no samples here.
std::string to_text(const std::vector<prometheus::MetricFamily>& families);

}  // namespace millrace::metrics
