#include "config/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "config/describe.hpp"
#include "tests/config/described_keys.hpp"
#include "tests/config/fake_sources.hpp"

namespace millrace::config {
namespace {

using nlohmann::json;
using test::described_keys;

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

TEST(Schema, IsJsonAndHasEveryKeyAndNoOther) {
    const auto schema = json::parse(json_schema());
    EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    std::set<std::string> in_schema;
    walk_schema(schema, "", in_schema);
    EXPECT_EQ(in_schema, described_keys());
    EXPECT_GE(in_schema.size(), 90U);
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
    EXPECT_EQ(model["required"], json::array({"id"}));
    EXPECT_EQ(model["properties"]["price"]["properties"]["prompt"]["pattern"],
              "^[0-9]{1,6}(\\.[0-9]{1,6})?$");
    EXPECT_EQ(schema["properties"]["authentication"]["properties"]["certificates"]
                    ["additionalProperties"]["type"],
              "string");
    EXPECT_EQ(model["properties"]["variants"]["minItems"], 1);
    EXPECT_EQ(model["properties"]["fallback"]["maxItems"], 5);
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

}  // namespace
}  // namespace millrace::config
