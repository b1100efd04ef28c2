// RequestFacts: the only things about a request that routing may know. The pipeline fills it from
// the parsed head and the peek into the body; `millrace explain` fills it from its command line.
// Views point into buffers that outlive the decision. Thread-safety: plain values.
#pragma once

#include <optional>
#include <string_view>

#include "config/base/header_field.hpp"

namespace millrace::routing {

/// The request header that names a model.
inline constexpr std::string_view kModelHeader = "x-model-id";

struct RuleFacts;

struct RequestFacts {
    std::string_view method;
    std::string_view path;   ///< as received (not percent-decoded), without the query
    std::string_view query;  ///< without the `?`
    std::string_view host;   ///< Host field; a port is ignored
    HeaderFields headers;
    std::string_view header_model;               ///< value of x-model-id; empty = absent
    std::optional<std::string_view> body_model;  ///< `model` of the JSON or multipart body
    bool json_body = false;                      ///< a JSON body was read; words messages only
    bool api_path = true;     ///< the path belongs to the API; otherwise only explicit routes count
    std::string_view key_id;  ///< id of the authenticated API key; empty = none
    const RuleFacts* rules = nullptr;  ///< what rules look at, for a model that chooses another
};

}  // namespace millrace::routing
