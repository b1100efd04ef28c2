#include "config/bind.hpp"

#include <algorithm>
#include <concepts>

#include "config/address_syntax.hpp"
#include "config/describe.hpp"
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

struct AnyVisitor;

/// A struct of model.hpp whose keys config/describe.hpp lists.
template <class T>
concept Described = requires(AnyVisitor& visitor, T& value) { describe(visitor, value); };

class Binder {
public:
    Binder(Files& files, Report& report) : files_(files), report_(report) {}

    template <class T>
    void object(const YamlNode& node, const std::string& path, T& out) {
        if (!node.is_mapping()) {
            wrong(node, path, "a mapping of keys to values");
            return;
        }
        Keys keys{*this, node, path, {}, {}};
        describe(keys, out);
        keys.finish();
    }

private:
    /// Visitor of one mapping's keys.
    struct Keys {
        Binder& binder;
        const YamlNode& node;
        const std::string& path;
        std::vector<std::string_view> known;
        std::vector<std::string_view> missing;

        template <class T>
        void field(const Field& field, T& member) {
            known.push_back(field.key);
            const auto* entry = node.find(field.key);
            if (entry == nullptr) {
                if (field.required) {
                    missing.push_back(field.key);
                }
                return;
            }
            const auto at = child_path(path, field.key);
            binder.report_.remember(at, entry->value.place);
            if (entry->value.is_null()) {
                binder.report_.error(entry->place, at,
                                     "The key has no value; give it one or leave the key out.");
                return;
            }
            binder.value(entry->value, at, field, member);
        }

        void finish() {
            for (const auto& entry : node.entries) {
                if (std::ranges::find(known, entry.key) != known.end()) {
                    continue;
                }
                // A misspelt required key is one problem, not two.
                std::erase(missing, nearest(entry.key, known));
                binder.report_.error(entry.place, child_path(path, entry.key),
                                     "Unknown key " + in_ticks(entry.key) + ".",
                                     did_you_mean(entry.key, known));
            }
            for (const auto key : missing) {
                binder.report_.error(node.place, path,
                                     "The key " + in_ticks(key) + " is required.");
            }
        }
    };

    void wrong(const YamlNode& node, const std::string& path, const std::string& expected,
               std::string suggestion = {}) {
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

    template <Described T>
    void value(const YamlNode& node, const std::string& path, const Field&, T& out) {
        object(node, path, out);
    }

    template <class T>
    void value(const YamlNode& node, const std::string& path, const Field& field,
               std::optional<T>& out) {
        T inner{};
        value(node, path, field, inner);
        out = std::move(inner);
    }

    template <class T>
    void value(const YamlNode& node, const std::string& path, const Field& field,
               std::vector<T>& out) {
        if (!node.is_sequence()) {
            wrong(node, path, "a list");
            return;
        }
        if (node.items.size() < field.min) {
            report_.error(node.place, path,
                          "The list needs at least " + std::to_string(field.min) + " item.");
        }
        if (node.items.size() > field.max) {
            report_.error(node.place, path,
                          "The list holds at most " + std::to_string(field.max) + " items.");
            return;
        }
        out.clear();
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const auto at = item_path(path, i);
            report_.remember(at, node.items[i].place);
            out.emplace_back();
            value(node.items[i], at, Field{.key = field.key, .doc = field.doc, .kind = field.kind},
                  out.back());
        }
    }

    template <class T>
    void value(const YamlNode& node, const std::string& path, const Field& field,
               std::map<std::string, T>& out) {
        if (!node.is_mapping()) {
            wrong(node, path, "a mapping of names to values");
            return;
        }
        for (const auto& entry : node.entries) {
            const auto at = child_path(path, entry.key);
            report_.remember(at, entry.place);
            value(entry.value, at, Field{.key = field.key, .doc = field.doc, .kind = field.kind},
                  out[entry.key]);
        }
    }

    template <class E>
        requires std::is_enum_v<E>
    void value(const YamlNode& node, const std::string& path, const Field&, E& out) {
        std::vector<std::string_view> words;
        std::string expected;
        for (const auto& entry : names(E{})) {
            if (node.is_scalar() && node.scalar == entry.name) {
                out = entry.value;
                return;
            }
            expected += (words.empty() ? "" : ", ") + in_ticks(entry.name);
            words.push_back(entry.name);
        }
        wrong(node, path, "one of " + expected,
              node.is_scalar() ? did_you_mean(node.scalar, words) : "");
    }

    void value(const YamlNode& node, const std::string& path, const Field&, bool& out) {
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

    template <std::unsigned_integral N>
        requires(!std::same_as<N, bool>)
    void value(const YamlNode& node, const std::string& path, const Field& field, N& out) {
        const bool size = field.kind == Kind::size;
        const auto expected =
            (size ? "a size such as `64KiB`, " : "a whole number ") +
            range_of(field, std::numeric_limits<N>::max(), size ? format_size : format_count);
        const auto parsed = !node.is_scalar() ? std::nullopt
                            : size            ? parse_size(node.scalar)
                                              : parse_count(node.scalar);
        if (!parsed || node.quoted || *parsed < field.min || *parsed > field.max ||
            *parsed > std::numeric_limits<N>::max()) {
            wrong(node, path, expected, number_hint(node, size, parsed.has_value()));
            return;
        }
        out = static_cast<N>(*parsed);
    }

    static std::string number_hint(const YamlNode& node, bool size, bool parsed) {
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

    void value(const YamlNode& node, const std::string& path, const Field& field, Duration& out) {
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

    void value(const YamlNode& node, const std::string& path, const Field&, Dollars& out) {
        const auto parsed = node.is_scalar() ? parse_dollars(node.scalar) : std::nullopt;
        if (!parsed) {
            wrong(node, path, "dollars such as `3` or `0.15`",
                  node.is_scalar() && node.scalar.starts_with('$') ? "leave the `$` out" : "");
            return;
        }
        out = *parsed;
    }

    void value(const YamlNode& node, const std::string& path, const Field&, Address& out) {
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

    void value(const YamlNode& node, const std::string& path, const Field&, Secret& out) {
        if (auto secret = read_secret(node, path, files_, report_)) {
            out = std::move(*secret);
        }
    }

    void value(const YamlNode& node, const std::string& path, const Field& field,
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
                          node.scalar.empty() ? "The text must not be empty."
                                              : "The text is longer than " +
                                                    std::to_string(kMaxText) + " characters.");
            return;
        }
        out = node.scalar;
        resolve_file(node, path, field.kind, out);
    }

    void resolve_file(const YamlNode& node, const std::string& path, Kind kind, std::string& out) {
        const bool stream = kind == Kind::output && (out == "stdout" || out == "stderr");
        if (kind == Kind::natural || out.empty() || stream) {
            return;
        }
        out = files_.resolve(out);
        if (kind == Kind::file && !files_.read_referenced(out)) {
            report_.error(node.place, path, "The file " + in_ticks(out) + " cannot be read.");
        }
    }

    Files& files_;
    Report& report_;
};

}  // namespace

void bind(const YamlNode& document, Files& files, Report& report, Config& config) {
    Binder(files, report).object(document, "", config);
}

}  // namespace millrace::config
