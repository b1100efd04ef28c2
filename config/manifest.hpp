// Gateway API HTTPRoute manifests (gateway.networking.k8s.io/v1), read unchanged: the parts Millrace acts on.
// Unknown keys are ignored with a warning. Source: Gateway API `apis/v1/httproute_types.go`.
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"

namespace millrace::config {

enum class PathMatchType : std::uint8_t { exact, prefix, regex };
enum class ValueMatchType : std::uint8_t { exact, regex };

struct NameValueMatch {
    std::string name;  ///< header names are lower-cased at load
    std::string value;
    ValueMatchType type = ValueMatchType::exact;
    bool operator==(const NameValueMatch&) const = default;
};

/// All parts are ANDed; the default matches every path.
struct HttpRouteMatch {
    PathMatchType path_type = PathMatchType::prefix;
    std::string path = "/";
    std::string method;  ///< empty = any
    std::vector<NameValueMatch> headers;
    std::vector<NameValueMatch> query;
    bool operator==(const HttpRouteMatch&) const = default;
};

struct HeaderValue {
    std::string name;
    std::string value;
    bool operator==(const HeaderValue&) const = default;
};

struct HeaderModifier {
    std::vector<HeaderValue> set;
    std::vector<HeaderValue> add;
    std::vector<std::string> remove;
    bool operator==(const HeaderModifier&) const = default;
};

struct UrlRewrite {
    std::string hostname;                           ///< empty = unchanged
    std::optional<std::string> replace_full_path;
    std::optional<std::string> replace_prefix_match;
    bool operator==(const UrlRewrite&) const = default;
};

struct BackendRef {
    std::string name;  ///< key of `backends`
    std::uint16_t port = 0;
    std::uint32_t weight = 1;
    bool operator==(const BackendRef&) const = default;
};

struct HttpRouteRule {
    std::vector<HttpRouteMatch> matches;  ///< ORed; never empty after load (default match added)
    HeaderModifier request_headers;
    std::optional<UrlRewrite> rewrite;
    std::vector<BackendRef> backends;
    Duration request_timeout{0};          ///< 0 = off
    Duration backend_request_timeout{0};  ///< 0 = off
    bool operator==(const HttpRouteRule&) const = default;
};

struct HttpRoute {
    std::string name;
    std::string namespace_name = "default";
    std::optional<WallTime> created;  ///< creationTimestamp; a manifest without one sorts last
    std::vector<std::string> hostnames;
    std::vector<HttpRouteRule> rules;
    bool operator==(const HttpRoute&) const = default;
};

}  // namespace millrace::config
