#include "config/schema.hpp"

#include <algorithm>
#include <concepts>
#include <nlohmann/json.hpp>

#include "config/address_syntax.hpp"
#include "config/describe.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDurationPattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
constexpr const char* kSizePattern = "^[0-9]+(KiB|MiB|GiB)?$";
constexpr const char* kDollarsPattern = "^[0-9]{1,6}(\\.[0-9]{1,6})?$";
constexpr const char* kAddressPattern = "^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]]+):[0-9]{1,5}$";

template <class T>
Json object_schema(T& value);

/// Visitor of one struct's keys. The overloads are members, so that they find each other in any
/// order.
struct Properties {
    Json properties = Json::object();
    Json required = Json::array();

    template <class T>
    void field(const Field& field, T& member) {
        Json schema = {{"description", field.doc}};
        schema.update(schema_of(field, member));
        properties[std::string(field.key)] = std::move(schema);
        if (field.required) {
            required.push_back(field.key);
        }
    }

    static Json schema_of(const Field&, bool& value) {
        return {{"type", "boolean"}, {"default", value}};
    }

    template <std::unsigned_integral N>
        requires(!std::same_as<N, bool>)
    static Json schema_of(const Field& field, N& value) {
        const bool size = field.kind == Kind::size;
        Json schema;
        if (size) {
            schema = {{"type", {"integer", "string"}}, {"pattern", kSizePattern}};
        } else {
            schema = {{"type", "integer"}};
        }
        schema["minimum"] = field.min;
        const auto max = std::min<std::uint64_t>(field.max, std::numeric_limits<N>::max());
        if (max != kUnlimited) {
            schema["maximum"] = max;
        }
        schema["default"] = size ? Json(format_size(value)) : Json(value);
        return schema;
    }

    static Json schema_of(const Field& field, Duration& value) {
        Json schema = {{"type", "string"}, {"pattern", kDurationPattern}};
        if (field.min == 0) {
            // A bare 0 is a number to YAML tools.
            schema = {{"oneOf", Json::array({schema, {{"const", 0}}})}};
        }
        schema["default"] = format_duration(value);
        return schema;
    }

    static Json schema_of(const Field& field, std::string& value) {
        Json schema = {{"type", "string"}};
        if (field.required) {
            schema["minLength"] = 1;
        } else if (!value.empty()) {
            schema["default"] = value;
        }
        return schema;
    }

    static Json schema_of(const Field&, Address& value) {
        return {
            {"type", "string"}, {"pattern", kAddressPattern}, {"default", format_address(value)}};
    }

    static Json schema_of(const Field&, Dollars& value) {
        return {{"type", {"number", "string"}},
                {"pattern", kDollarsPattern},
                {"minimum", 0},
                {"default", format_dollars(value)}};
    }

    static Json schema_of(const Field&, Secret&) {
        return {{"type", "object"},
                {"properties", {{"file", {{"type", "string"}}}, {"env", {{"type", "string"}}}}},
                {"additionalProperties", false},
                {"minProperties", 1},
                {"maxProperties", 1}};
    }

    template <class E>
        requires std::is_enum_v<E>
    static Json schema_of(const Field&, E& value) {
        auto words = Json::array();
        for (const auto& entry : names(value)) {
            words.push_back(entry.name);
        }
        return {{"enum", std::move(words)}, {"default", name_of(value)}};
    }

    template <class T>
    static Json schema_of(const Field& field, std::optional<T>&) {
        T inner{};
        auto schema = schema_of(field, inner);
        schema.erase("default");  // absent is the default
        return schema;
    }

    template <class T>
    static Json schema_of(const Field& field, std::vector<T>& value) {
        T item{};
        auto items = schema_of(Field{.key = field.key, .doc = field.doc, .kind = field.kind}, item);
        Json schema = {{"type", "array"}, {"items", std::move(items)}};
        if (field.min > 0) {
            schema["minItems"] = field.min;
        }
        if (field.max != kUnlimited) {
            schema["maxItems"] = field.max;
        }
        if constexpr (std::unsigned_integral<T>) {
            schema["items"].erase("default");
            schema["default"] = value;
        }
        return schema;
    }

    template <class T>
    static Json schema_of(const Field& field, std::map<std::string, T>&) {
        T item{};
        const Field plain{.key = field.key, .doc = field.doc, .kind = field.kind};
        return {{"type", "object"}, {"additionalProperties", schema_of(plain, item)}};
    }

    template <class T>
    static Json schema_of(const Field&, T& value) {
        return object_schema(value);
    }
};

template <class T>
Json object_schema(T& value) {
    Properties visitor;
    describe(visitor, value);
    Json schema = {{"type", "object"},
                   {"properties", std::move(visitor.properties)},
                   {"additionalProperties", false}};
    if (!visitor.required.empty()) {
        schema["required"] = std::move(visitor.required);
    }
    return schema;
}

}  // namespace

std::string json_schema() {
    Config config;
    Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"title", "Millrace configuration"}};
    schema.update(object_schema(config));
    return schema.dump(2) + "\n";
}

}  // namespace millrace::config
