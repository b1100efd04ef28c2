// Walks config/describe.hpp once more, independently of the loader and the generators: the path of
// every key, and the default document as YAML.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/address_syntax.hpp"
#include "config/describe.hpp"
#include "config/syntax.hpp"

namespace millrace::config::test {

template <class T>
struct ItemOf {
    using type = T;
    static constexpr const char* kSuffix = "";
};
template <class T>
struct ItemOf<std::optional<T>> : ItemOf<T> {};
template <class T>
struct ItemOf<std::vector<T>> {
    using type = T;
    static constexpr const char* kSuffix = "[]";
};
template <class T>
struct ItemOf<std::map<std::string, T>> {
    using type = T;
    static constexpr const char* kSuffix = ".*";
};

/// Collects the path of every key that describe() knows, and the default document as YAML.
struct Walk {
    std::string path;
    std::set<std::string>& keys;
    std::string yaml;

    template <class T>
    void field(const Field& field, T& member) {
        const auto at = path + "." + std::string(field.key);
        keys.insert(at);
        EXPECT_TRUE(field.doc.ends_with('.')) << at;
        using Item = typename ItemOf<T>::type;
        Walk below{at + ItemOf<T>::kSuffix, keys, {}};
        if constexpr (requires(Item& item) { describe(below, item); }) {
            if constexpr (std::is_same_v<Item, T>) {
                describe(below, member);
                yaml += std::string(field.key) + ": {" + below.yaml + "}, ";
            } else {
                Item item{};
                describe(below, item);
            }
        } else if constexpr (std::is_same_v<Item, T>) {
            yaml += std::string(field.key) + ": " + text(field, member) + ", ";
        }
    }

    static std::string text(const Field&, bool value) { return value ? "true" : "false"; }
    static std::string text(const Field&, Duration value) { return format_duration(value); }
    static std::string text(const Field&, const Address& value) { return format_address(value); }
    static std::string text(const Field&, const std::string& value) { return "\"" + value + "\""; }
    template <class N>
        requires std::is_unsigned_v<N>
    static std::string text(const Field& field, N value) {
        return field.kind == Kind::size ? format_size(value) : std::to_string(value);
    }
    template <class E>
        requires std::is_enum_v<E>
    static std::string text(const Field&, E value) {
        return std::string(name_of(value));
    }
    static std::string text(const Field&, Dollars value) { return format_dollars(value); }
    static std::string text(const Field&, const Secret&) { return "{env: ABSENT}"; }
};

inline std::set<std::string> described_keys(std::string* yaml = nullptr) {
    std::set<std::string> keys;
    Config config;
    Walk walk{"", keys, {}};
    describe(walk, config);
    if (yaml != nullptr) {
        *yaml = "{" + walk.yaml + "}";
    }
    return keys;
}

}  // namespace millrace::config::test
