// The pure half of the control server: from method, target and body to a response.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "config/base/percent.hpp"
#include "gateway/admin/control_server.hpp"
#include "gateway/identity/digest.hpp"

namespace millrace::gateway {
namespace {

/// False for a broken escape. Of a repeated name the first value counts.
bool parse_query(std::string_view text, std::map<std::string, std::string>& query) {
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const auto pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto equals = std::min(pair.find('='), pair.size());
        const auto name = percent_decoded_strictly(pair.substr(0, equals), true);
        const auto value =
            percent_decoded_strictly(pair.substr(std::min(equals + 1, pair.size())), true);
        if (!name || !value) {
            return false;
        }
        if (!name->empty()) {
            query.emplace(*name, *value);
        }
    }
    return true;
}

/// What a pattern captured of the encoded path (empty for an exact pattern), or nullopt when it
/// does not match.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
    const auto brace = pattern.find('{');
    if (brace == std::string_view::npos) {
        return pattern == path ? std::optional(std::string_view()) : std::nullopt;
    }
    if (path.size() <= brace || !path.starts_with(pattern.substr(0, brace))) {
        return std::nullopt;
    }
    return path.substr(brace);
}

bool serves(const ControlRoute& route, std::string_view method) {
    return route.method == method || (route.method == "GET" && method == "HEAD");
}

}  // namespace

ControlResponse control_error(unsigned status, std::string_view code, std::string_view message) {
    const nlohmann::json body{
        {"error", {{"code", std::string(code)}, {"message", std::string(message)}}}};
    ControlResponse response;
    response.status = status;
    // A message may quote what a client sent, which need not be UTF-8.
    response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    return response;
}

std::optional<ControlResponse> refuse_caller(const ControlServerOptions& options,
                                             std::string_view authorization, bool from_web_page) {
    constexpr std::string_view kScheme = "Bearer ";
    if (options.token) {
        if (authorization.starts_with(kScheme) &&
            equal_in_constant_time(authorization.substr(kScheme.size()), options.token->reveal())) {
            return std::nullopt;
        }
        auto response =
            control_error(401, "unauthorized",
                          "This listener needs its token: send `Authorization: Bearer TOKEN`.");
        response.headers.emplace_back("www-authenticate", "Bearer");
        return response;
    }
    if (options.refuse_web_pages && from_web_page) {
        return control_error(403, "web_page_refused",
                             "Requests of web pages are refused while no admin token is set.");
    }
    return std::nullopt;
}

ControlResponse dispatch(const std::vector<ControlRoute>& routes, std::string_view method,
                         std::string_view target, std::string body) {
    const auto question = std::min(target.find('?'), target.size());
    const auto path = target.substr(0, question);
    ControlRequest request;
    request.method = std::string(method);
    request.body = std::move(body);
    const bool query_good =
        parse_query(target.substr(std::min(question + 1, target.size())), request.query);
    const auto decoded_path = percent_decoded_strictly(path);
    if (!query_good || !decoded_path) {
        return control_error(
            400, "bad_target",
            "The path or query has a broken percent-escape or a control character.");
    }
    request.path = *decoded_path;

    std::string allowed;
    for (const auto& route : routes) {
        // Matched before decoding, so that %2F in an id cannot choose another route.
        const auto capture = match(route.pattern, path);
        if (!capture) {
            continue;
        }
        if (serves(route, method)) {
            request.capture = percent_decoded_strictly(*capture).value_or("");
            return route.handler(request);
        }
        allowed += (allowed.empty() ? "" : ", ") + route.method;
        allowed += route.method == "GET" ? ", HEAD" : "";
    }
    if (allowed.empty()) {
        return control_error(404, "not_found", "There is nothing at " + request.path + ".");
    }
    auto response =
        control_error(405, "method_not_allowed", request.path + " answers only " + allowed + ".");
    response.headers.emplace_back("allow", allowed);
    return response;
}

}  // namespace millrace::gateway
