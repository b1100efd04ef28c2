#include <algorithm>
#include <array>

#include "config/base/header_field.hpp"
#include "config/manifest_parts.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

constexpr std::size_t kMaxHeaderMatches = 16;
constexpr std::size_t kMaxQueryMatches = 16;
constexpr std::string_view kModelHeader = "x-model-id";

/// What the Gateway API forbids in Exact and PathPrefix values, because servers normalise it
/// differently.
bool is_plain_path(std::string_view path) {
    static constexpr std::string_view kForbidden[] = {"//",  "/./", "/../", "%2f",
                                                      "%2F", "#",   "?",    " "};
    return path.starts_with('/') && path.size() <= 1024 && !path.ends_with("/..") &&
           !path.ends_with("/.") && std::ranges::none_of(kForbidden, [&](std::string_view part) {
               return path.find(part) != std::string_view::npos;
           });
}

void read_path(const YamlNode& node, const std::string& path, Report& report,
               HttpRouteMatch& match) {
    ManifestObject object(node, path, report);
    const auto type = object.text("type").value_or("PathPrefix");
    match.path = object.text("value").value_or("/");
    object.finish();
    if (type == "Exact") {
        match.path_type = PathMatchType::exact;
    } else if (type == "RegularExpression") {
        object.error("type", "RegularExpression path matches are not supported.",
                     "use Exact or PathPrefix");
        return;
    } else if (type != "PathPrefix") {
        object.error("type", "Unknown path match type " + in_ticks(type) + ".",
                     did_you_mean(type, {"Exact", "PathPrefix"}));
    }
    if (!is_plain_path(match.path)) {
        object.error("value",
                     "A path starts with `/` and has no `//`, `/./`, `/../`, `%2F`, `#`, "
                     "`?` or space.");
    }
}

/// A header or query parameter; nullopt after an error.
std::optional<NameValueMatch> read_name_value(const YamlNode& node, const std::string& path,
                                              Report& report) {
    ManifestObject object(node, path, report);
    const auto type = object.text("type").value_or("Exact");
    const auto name = object.text("name");
    const auto value = object.text("value");
    object.finish();
    if (type == "RegularExpression") {
        object.error("type", "RegularExpression matches are not supported.", "use Exact");
        return std::nullopt;
    }
    if (type != "Exact") {
        object.error("type", "Unknown match type " + in_ticks(type) + ".",
                     did_you_mean(type, {"Exact"}));
        return std::nullopt;
    }
    if (!name || name->empty() || !value) {
        report.error(object.place(), path, "A match needs `name` and `value`.");
        return std::nullopt;
    }
    return NameValueMatch{*name, *value, ValueMatchType::exact};
}

/// "Of equal names only the first entry counts" (Gateway API).
void add_first(std::vector<NameValueMatch>& matches, NameValueMatch match, const YamlNode& node,
               const std::string& path, Report& report) {
    if (std::ranges::find(matches, match.name, &NameValueMatch::name) != matches.end()) {
        report.warning(node.place, path,
                       "The name " + in_ticks(match.name) +
                           " is already matched above; only the first entry counts.");
        return;
    }
    matches.push_back(std::move(match));
}

void read_header(const YamlNode& node, const std::string& path, Report& report,
                 std::vector<NameValueMatch>& matches) {
    auto match = read_name_value(node, path, report);
    if (!match) {
        return;
    }
    std::ranges::transform(match->name, match->name.begin(), to_lower);
    if (!is_token(match->name)) {
        report.error(node.place, path, in_ticks(match->name) + " is not a header name.");
        return;
    }
    if (match->name == kModelHeader && !is_identifier(match->value)) {
        report.error(node.place, path,
                     in_ticks(match->value) +
                         " is not a model id: letters, digits and `._:/@+-`, at "
                         "most 128, no `..`.");
        return;
    }
    add_first(matches, std::move(*match), node, path, report);
}

}  // namespace

HttpRouteMatch read_match(const YamlNode& node, const std::string& path, Report& report) {
    static constexpr std::array<std::string_view, 9> kMethods = {
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    HttpRouteMatch match;
    ManifestObject object(node, path, report);
    if (const auto* part = object.get("path")) {
        read_path(*part, object.path_of("path"), report, match);
    }
    match.method = object.text("method").value_or("");
    if (!match.method.empty() && std::ranges::find(kMethods, match.method) == kMethods.end()) {
        object.error("method", "Unknown method " + in_ticks(match.method) + ".",
                     did_you_mean(match.method, {kMethods.begin(), kMethods.end()}));
    }
    const auto& headers = object.list("headers", kMaxHeaderMatches);
    for (std::size_t i = 0; i < headers.size(); ++i) {
        read_header(headers[i], item_path(object.path_of("headers"), i), report, match.headers);
    }
    const auto& query = object.list("queryParams", kMaxQueryMatches);
    for (std::size_t i = 0; i < query.size(); ++i) {
        const auto at = item_path(object.path_of("queryParams"), i);
        if (auto parameter = read_name_value(query[i], at, report)) {
            add_first(match.query, std::move(*parameter), query[i], at, report);
        }
    }
    object.finish();
    return match;
}

}  // namespace millrace::config
