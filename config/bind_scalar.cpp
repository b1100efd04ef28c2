#include "config/bind_scalar.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "config/address_syntax.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

constexpr std::size_t kMaxText = 4096;

std::string range_of(const Field& field, std::uint64_t type_max,
                     std::string (*format)(std::uint64_t)) {
    const auto max = std::min(field.max, type_max);
    if (max == kUnlimited) {
        return "of at least " + format(field.min);
    }
    return "between " + format(field.min) + " and " + format(max);
}

std::string number_hint(const YamlNode& node, bool size, bool parsed) {
    if (node.quoted && parsed) {
        return "remove the quotes";
    }
    const auto unit = node.scalar.find_first_not_of("0123456789");
    if (size && !parsed && unit != std::string::npos && unit > 0) {
        static constexpr std::string_view kUnits[] = {"KMG", "kmg"};
        const auto word = std::string_view(node.scalar).substr(unit);
        for (const auto letters : kUnits) {
            if (const auto found = letters.find(word.front()); found != letters.npos) {
                return "write `" + node.scalar.substr(0, unit) + kUnits[0][found] + "iB`";
            }
        }
    }
    return {};
}

}  // namespace

void ScalarBinder::wrong(const YamlNode& node, const std::string& path, const std::string& expected,
                         std::string suggestion) {
    std::string found;
    switch (node.kind) {
        case YamlNode::Kind::null: found = "nothing"; break;
        case YamlNode::Kind::scalar: found = in_ticks(node.scalar); break;
        case YamlNode::Kind::sequence: found = "a list"; break;
        case YamlNode::Kind::mapping: found = "a mapping"; break;
    }
    report_.error(node.place, path, "Expected " + expected + ", found " + found + ".",
                  std::move(suggestion));
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field&, bool& out) {
    const bool plain = node.is_scalar() && !node.quoted;
    if (plain && (node.scalar == "true" || node.scalar == "false")) {
        out = node.scalar == "true";
        return;
    }
    static constexpr std::string_view kYes[] = {"yes", "Yes", "on", "On", "True", "TRUE", "1"};
    static constexpr std::string_view kNo[] = {"no", "No", "off", "Off", "False", "FALSE", "0"};
    const auto among = [&](const auto& words) {
        return node.is_scalar() && std::ranges::find(words, node.scalar) != std::end(words);
    };
    wrong(node, path, "`true` or `false` without quotes",
          among(kYes)  ? "write `true`"
          : among(kNo) ? "write `false`"
                       : "");
}

std::optional<std::uint64_t> ScalarBinder::number(const YamlNode& node, const std::string& path,
                                                  const Field& field, std::uint64_t type_max) {
    const bool size = field.kind == Kind::size;
    const auto parsed = !node.is_scalar() ? std::nullopt
                        : size            ? parse_size(node.scalar)
                                          : parse_count(node.scalar);
    if (!parsed || node.quoted || *parsed < field.min || *parsed > field.max ||
        *parsed > type_max) {
        wrong(node, path,
              (size ? "a size such as `64KiB`, " : "a whole number ") +
                  range_of(field, type_max, size ? format_size : format_count),
              number_hint(node, size, parsed.has_value()));
        return std::nullopt;
    }
    return parsed;
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field& field,
                         Duration& out) {
    const auto parsed = node.is_scalar() ? parse_duration(node.scalar) : std::nullopt;
    if (!parsed || *parsed < std::chrono::milliseconds(field.min) ||
        *parsed > std::chrono::milliseconds(std::min(field.max, kOneDay))) {
        const auto digits = node.is_scalar() ? parse_count(node.scalar) : std::nullopt;
        wrong(node, path,
              "a duration such as `250ms`, `10s` or `1h30m`, " +
                  range_of(field, kOneDay, format_milliseconds),
              digits && *digits > 0 && *digits < 100'000 ? "write `" + node.scalar + "s`" : "");
        return;
    }
    out = *parsed;
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field&,
                         Dollars& out) {
    const auto parsed = node.is_scalar() ? parse_dollars(node.scalar) : std::nullopt;
    if (!parsed) {
        wrong(node, path, "dollars such as `3` or `0.15`",
              node.is_scalar() && node.scalar.starts_with('$') ? "leave the `$` out" : "");
        return;
    }
    out = *parsed;
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field&,
                         Address& out) {
    const auto parsed = node.is_scalar() ? parse_address(node.scalar) : std::nullopt;
    if (!parsed) {
        wrong(node, path, "an address such as `0.0.0.0:8080` or `[::1]:8080`",
              node.is_scalar() && node.scalar.starts_with(':')
                  ? "write `0.0.0.0" + node.scalar + "`"
                  : "");
        return;
    }
    out = *parsed;
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field&, Secret& out) {
    if (auto secret = read_secret(node, path, files_, report_)) {
        out = std::move(*secret);
    }
}

void ScalarBinder::value(const YamlNode& node, const std::string& path, const Field& field,
                         std::string& out) {
    if (!node.is_scalar()) {
        wrong(node, path, "text");
        return;
    }
    if (has_control_characters(node.scalar)) {
        report_.error(node.place, path, "The text contains a control character.");
        return;
    }
    if (node.scalar.size() > kMaxText || (field.required && node.scalar.empty())) {
        report_.error(node.place, path,
                      node.scalar.empty()
                          ? "The text must not be empty."
                          : "The text is longer than " + std::to_string(kMaxText) + " characters.");
        return;
    }
    out = node.scalar;
    resolve_file(node, path, field.kind, out);
}

void ScalarBinder::resolve_file(const YamlNode& node, const std::string& path, Kind kind,
                                std::string& out) {
    const bool stream = kind == Kind::output && (out == "stdout" || out == "stderr");
    if (kind == Kind::natural || out.empty() || stream) {
        return;
    }
    out = files_.resolve(out);
    if (kind == Kind::file && !files_.read_referenced(out)) {
        report_.error(node.place, path, "The file " + in_ticks(out) + " cannot be read.");
    }
}

}  // namespace millrace::config
