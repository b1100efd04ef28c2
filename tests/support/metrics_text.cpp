#include "tests/support/metrics_text.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace millrace::test {

namespace {

[[noreturn]] void malformed(std::string_view line) {
    throw std::runtime_error("not Prometheus text: " + std::string(line));
}

/// Reads `name="value",…}` and leaves `rest` behind the brace.
MetricsText::Labels read_labels(std::string_view& rest, std::string_view line) {
    MetricsText::Labels labels;
    while (!rest.starts_with('}')) {
        const auto equals = rest.find("=\"");
        if (equals == std::string_view::npos) {
            malformed(line);
        }
        const std::string name(rest.substr(0, equals));
        rest.remove_prefix(equals + 2);
        std::string value;
        while (!rest.starts_with('"')) {
            if (rest.empty()) {
                malformed(line);
            }
            if (rest.starts_with('\\') && rest.size() > 1) {
                rest.remove_prefix(1);
                value += rest.front() == 'n' ? '\n' : rest.front();
            } else {
                value += rest.front();
            }
            rest.remove_prefix(1);
        }
        rest.remove_prefix(1);
        if (!labels.emplace(name, value).second) {
            malformed(line);
        }
        if (rest.starts_with(',')) {
            rest.remove_prefix(1);
        }
    }
    rest.remove_prefix(1);
    return labels;
}

MetricsText::Sample read_sample(std::string_view line) {
    MetricsText::Sample sample;
    const auto name_end = line.find_first_of("{ ");
    if (name_end == std::string_view::npos) {
        malformed(line);
    }
    sample.name = line.substr(0, name_end);
    auto rest = line.substr(name_end);
    if (rest.starts_with('{')) {
        rest.remove_prefix(1);
        sample.labels = read_labels(rest, line);
    }
    const std::string number(rest);
    char* end = nullptr;
    sample.value = std::strtod(number.c_str(), &end);
    if (end == number.c_str()) {
        malformed(line);
    }
    return sample;
}

bool includes(const MetricsText::Labels& all, const MetricsText::Labels& some) {
    return std::ranges::all_of(some, [&](const auto& label) {
        const auto found = all.find(label.first);
        return found != all.end() && found->second == label.second;
    });
}

}  // namespace

MetricsText::MetricsText(std::string_view text) {
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.starts_with("# TYPE ")) {
            const auto rest = line.substr(7);
            const auto space = rest.find(' ');
            if (space == std::string_view::npos ||
                !types_.emplace(rest.substr(0, space), rest.substr(space + 1)).second) {
                malformed(line);
            }
        } else if (!line.empty() && !line.starts_with('#')) {
            samples_.push_back(read_sample(line));
        }
    }
}

double MetricsText::sum(std::string_view name, const Labels& labels) const {
    double total = 0;
    for (const auto& sample : samples_) {
        if (sample.name == name && includes(sample.labels, labels)) {
            total += sample.value;
        }
    }
    return total;
}

std::optional<double> MetricsText::value(std::string_view name, const Labels& labels) const {
    for (const auto& sample : samples_) {
        if (sample.name == name && includes(sample.labels, labels)) {
            return sample.value;
        }
    }
    return std::nullopt;
}

bool MetricsText::has(std::string_view name) const {
    return std::ranges::any_of(samples_, [&](const auto& sample) { return sample.name == name; });
}

}  // namespace millrace::test
