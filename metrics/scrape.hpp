// Reads the Prometheus text format 0.0.4 (and the parts of OpenMetrics that servers send by
// mistake).
//
// A Scrape refers to the text it was parsed from and decodes label values only when asked, because
// a model server answers with thousands of lines of which a handful matter. A line that breaks the
// grammar is skipped and counted: one odd line of a plugin must not cost the load signal. Exemplars
// are ignored. Thread-safety: plain values; the text must outlive them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::metrics {

struct Sample {
    std::string_view name;
    std::string_view labels;  ///< between the braces, as written; checked against the grammar
    double value = 0;         ///< may be NaN or infinite
    std::optional<std::int64_t> timestamp_ms;

    /// The decoded value of a label.
    std::optional<std::string> label(std::string_view wanted) const;
};

struct Scrape {
    std::vector<Sample> samples;
    std::size_t bad_lines = 0;
    std::size_t first_bad_line = 0;  ///< 1-based; 0 when none
};

Scrape parse_scrape(std::string_view text);

}  // namespace millrace::metrics
