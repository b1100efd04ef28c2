#include "config/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "config/describe.hpp"
#include "config/syntax.hpp"
#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using nlohmann::json;

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
    static std::string text(const Field&, const Secret&) { return "{env: ABSENT}"; }
};

/// The same paths from the schema's side.
void walk_schema(const json& schema, const std::string& path, std::set<std::string>& keys) {
    if (schema.contains("items")) {
        walk_schema(schema["items"], path + "[]", keys);
    }
    if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object()) {
        walk_schema(schema["additionalProperties"], path + ".*", keys);
    }
    if (!schema.contains("properties") || schema.contains("maxProperties")) {
        return;  // a secret's `file` and `env` are its notation
    }
    EXPECT_EQ(schema["additionalProperties"], false) << path;
    for (const auto& [key, value] : schema["properties"].items()) {
        keys.insert(path + "." + key);
        EXPECT_TRUE(value.contains("description")) << path << "." << key;
        EXPECT_TRUE(value.contains("type") || value.contains("enum") || value.contains("oneOf"))
            << path << "." << key;
        walk_schema(value, path + "." + key, keys);
    }
}

std::set<std::string> described_keys(std::string* yaml = nullptr) {
    std::set<std::string> keys;
    Config config;
    Walk walk{"", keys, {}};
    describe(walk, config);
    if (yaml != nullptr) {
        *yaml = "{" + walk.yaml + "}";
    }
    return keys;
}

TEST(Schema, IsJsonAndHasEveryKeyAndNoOther) {
    const auto schema = json::parse(json_schema());
    EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    std::set<std::string> in_schema;
    walk_schema(schema, "", in_schema);
    EXPECT_EQ(in_schema, described_keys());
    EXPECT_GT(in_schema.size(), 90U);
}

TEST(Schema, CarriesTypesRangesDefaultsAndWords) {
    const auto schema = json::parse(json_schema());
    const auto& limits = schema["properties"]["limits"]["properties"];
    EXPECT_EQ(limits["body"]["default"], "32MiB");
    EXPECT_EQ(limits["header_block"]["maximum"], 61'440);
    EXPECT_EQ(limits["header_fields"]["type"], "integer");
    const auto& listeners = schema["properties"]["listeners"]["properties"];
    EXPECT_EQ(listeners["metrics"]["properties"]["address"]["default"], "0.0.0.0:9090");
    EXPECT_EQ(listeners["admin"]["properties"]["token"]["maxProperties"], 1);
    const auto& model = schema["properties"]["models"]["items"];
    EXPECT_EQ(model["properties"]["class"]["enum"], json({"realtime", "interactive", "batch"}));
    EXPECT_EQ(model["required"], json({"id", "variants"}));
    EXPECT_EQ(model["properties"]["variants"]["minItems"], 1);
    const auto& backend = schema["properties"]["backends"]["additionalProperties"]["properties"];
    EXPECT_EQ(backend["idle_timeout"]["default"], "4s");
    EXPECT_EQ(backend["idle_timeout"]["type"], "string");
    EXPECT_EQ(backend["timeouts"]["properties"]["total"]["oneOf"][1]["const"], 0);
}

TEST(Describe, DefaultsReadBackAsADefaultConfig) {
    std::string yaml;
    described_keys(&yaml);
    const auto result = test::load_text(yaml);
    ASSERT_TRUE(result.loaded) << yaml << test::dump(result.problems);
    EXPECT_EQ(result.loaded->config, Config{});
}

TEST(Describe, NamesEveryEnumeratorOnce) {
    EXPECT_EQ(name_of(ContinuousUsage::automatic), "auto");
    EXPECT_EQ(name_of(WorkloadClass::realtime), "realtime");
    EXPECT_EQ(name_of(Unready::unavailable), "unavailable");
}

TEST(Reference, HasARowForEveryKeyAndValidLinks) {
    const auto text = markdown();
    for (const auto& path : described_keys()) {
        const auto key = path.substr(path.rfind('.') + 1);
        EXPECT_THAT(text, testing::HasSubstr("\n| `" + key + "` | ")) << path;
    }
    EXPECT_THAT(text, testing::HasSubstr("[`models[].variants[]`](#modelsvariants)"));
    EXPECT_THAT(text, testing::HasSubstr("\n## `models[].variants[]`\n"));
    EXPECT_THAT(text, testing::HasSubstr("\n## `backends.<name>.tls`\n"));
}

TEST(Reference, InDocsIsTheGeneratedOne) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/docs/CONFIGURATION.md");
    const std::string written{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(written == markdown())
        << "docs/CONFIGURATION.md is not what the code says; refresh it with\n"
           "    millrace schema --markdown > docs/CONFIGURATION.md";
}

}  // namespace
}  // namespace millrace::config
