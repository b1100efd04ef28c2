// The JSON forms of a sample request and of an explanation.
#include <nlohmann/json.hpp>

#include "gateway/commands/explain.hpp"
#include "gateway/openai/error_table.hpp"

namespace millrace::gateway {
namespace {

std::unexpected<Error> bad_field(const std::string& key, const std::string& expected) {
    return failure(Errc::bad_field, Origin::downstream,
                   "The key `" + key + "` must be " + expected + ".");
}

Result<void> take_text(const nlohmann::json& json, const std::string& key, std::string& out) {
    const auto value = json.find(key);
    if (value == json.end()) {
        return {};
    }
    if (!value->is_string()) {
        return bad_field(key, "a string");
    }
    out = value->get<std::string>();
    return {};
}

Result<void> take_headers(const nlohmann::json& json, SampleRequest& request) {
    const auto headers = json.find("headers");
    if (headers == json.end()) {
        return {};
    }
    if (!headers->is_object()) {
        return bad_field("headers", "an object of names and strings");
    }
    for (const auto& [name, value] : headers->items()) {
        if (!value.is_string()) {
            return bad_field("headers." + name, "a string");
        }
        request.headers.emplace_back(name, value.get<std::string>());
    }
    return {};
}

}  // namespace

Result<SampleRequest> parse_sample_request(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
        return failure(Errc::bad_json, Origin::downstream,
                       "The body must be a JSON object with the keys method, target, headers, "
                       "body, key_id and tenant.");
    }
    SampleRequest request;
    for (const auto& [key, value] : json.items()) {
        if (key != "method" && key != "target" && key != "headers" && key != "body" &&
            key != "key_id" && key != "tenant") {
            return failure(Errc::bad_field, Origin::downstream,
                           "The key `" + key +
                               "` is unknown; there are method, target, headers, body, key_id "
                               "and tenant.");
        }
    }
    if (const auto body = json.find("body"); body != json.end() && body->is_object()) {
        request.body = body->dump();
    } else if (auto taken = take_text(json, "body", request.body); !taken) {
        return std::unexpected(taken.error());
    }
    for (const auto& [key, field] : {std::pair{"method", &request.method},
                                     {"target", &request.target},
                                     {"key_id", &request.key_id},
                                     {"tenant", &request.tenant}}) {
        if (auto taken = take_text(json, key, *field); !taken) {
            return std::unexpected(taken.error());
        }
    }
    if (auto taken = take_headers(json, request); !taken) {
        return std::unexpected(taken.error());
    }
    return request;
}

std::string to_json(const Explanation& explanation) {
    nlohmann::json json{{"lines", explanation.lines}};
    const auto set = [&](const char* key, const std::string& value) {
        if (!value.empty()) {
            json[key] = value;
        }
    };
    set("backend", explanation.backend);
    set("variant", explanation.variant);
    set("endpoint", explanation.endpoint);
    set("served_name", explanation.served_name);
    if (explanation.refusal) {
        json["refusal"] = {{"status", openai::error_row(explanation.refusal->code).status},
                           {"code", std::string(millrace::to_string(explanation.refusal->code))},
                           {"message", explanation.refusal->detail}};
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace millrace::gateway
