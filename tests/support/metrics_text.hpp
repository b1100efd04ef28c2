// Prometheus text, as a scraper reads it: series by name and labels. Independent of the exporter
// and of our own parser, so that it can judge both. Thread-safety: plain values.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

class MetricsText {
public:
    using Labels = std::map<std::string, std::string>;
    struct Sample {
        std::string name;
        Labels labels;
        double value = 0;
    };

    /// Throws std::runtime_error naming the line when the text is not well-formed.
    explicit MetricsText(std::string_view text);

    /// Sum over all series of that name that have these labels (and maybe others); 0 when there is
    /// none.
    double sum(std::string_view name, const Labels& labels = {}) const;
    /// The one series with these labels; nullopt when there is none.
    std::optional<double> value(std::string_view name, const Labels& labels = {}) const;
    bool has(std::string_view name) const;
    /// Families with a TYPE line, by name; the type is the value.
    const std::map<std::string, std::string>& types() const { return types_; }
    const std::vector<Sample>& samples() const { return samples_; }

private:
    std::map<std::string, std::string> types_;
    std::vector<Sample> samples_;
};

}  // namespace millrace::test
