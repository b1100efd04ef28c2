#include "config/bind.hpp"

#include <algorithm>
#include <concepts>

#include "config/bind_scalar.hpp"
#include "config/describe.hpp"

namespace millrace::config {

namespace {

struct AnyVisitor;

/// A struct of model.hpp whose keys config/describe.hpp lists.
template <class T>
concept Described = requires(AnyVisitor& visitor, T& value) { describe(visitor, value); };

/// Mappings, lists and words; what they hold in the end is the base's.
class Binder : private ScalarBinder {
public:
    using ScalarBinder::ScalarBinder;

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
            binder.report().remember(at, entry->value.place);
            if (entry->value.is_null()) {
                binder.report().error(entry->place, at,
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
                binder.report().error(entry.place, child_path(path, entry.key),
                                      "Unknown key " + in_ticks(entry.key) + ".",
                                      did_you_mean(entry.key, known));
            }
            for (const auto key : missing) {
                binder.report().error(node.place, path,
                                      "The key " + in_ticks(key) + " is required.");
            }
        }
    };

    using ScalarBinder::value;

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
            report().error(node.place, path,
                           "The list needs at least " + std::to_string(field.min) + " item.");
        }
        if (node.items.size() > field.max) {
            report().error(node.place, path,
                           "The list holds at most " + std::to_string(field.max) + " items.");
            return;
        }
        out.clear();
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            const auto at = item_path(path, i);
            report().remember(at, node.items[i].place);
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
            report().remember(at, entry.place);
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
};

}  // namespace

void bind(const YamlNode& document, Files& files, Report& report, Config& config) {
    Binder(files, report).object(document, "", config);
}

}  // namespace millrace::config
