#include <algorithm>

#include "config/base/header_field.hpp"
#include "config/manifest_parts.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

constexpr std::size_t kMaxModifiers = 16;

/// Fields that frame the message or belong to the hop: rewriting one would let a manifest smuggle
/// requests.
bool is_settable(std::string_view name) {
    static constexpr std::string_view kReserved[] = {
        "connection", "content-length", "expect",           "host", "keep-alive", "te",
        "trailer",    "upgrade",        "transfer-encoding"};
    return is_token(name) && std::ranges::none_of(kReserved, [&](std::string_view reserved) {
               return equals_ignoring_case(reserved, name);
           });
}

bool check_name(const std::string& name, const YamlNode& node, const std::string& path,
                Report& report) {
    if (is_settable(name)) {
        return true;
    }
    report.error(node.place, path,
                 in_ticks(name) +
                     " is not a header that a filter may change; fields that frame the "
                     "message belong to Millrace.");
    return false;
}

std::vector<HeaderValue> read_values(ManifestObject& modifier, std::string_view key,
                                     Report& report) {
    std::vector<HeaderValue> values;
    const auto& items = modifier.list(key, kMaxModifiers);
    for (std::size_t i = 0; i < items.size(); ++i) {
        const auto at = item_path(modifier.path_of(key), i);
        ManifestObject object(items[i], at, report);
        auto name = object.text("name");
        auto value = object.text("value");
        object.finish();
        if (!name || !value) {
            report.error(items[i].place, at, "A header needs `name` and `value`.");
        } else if (check_name(*name, items[i], at, report)) {
            values.push_back({std::move(*name), std::move(*value)});
        }
    }
    return values;
}

void read_header_modifier(const YamlNode& node, const std::string& path, Report& report,
                          HeaderModifier& out) {
    ManifestObject object(node, path, report);
    out.set = read_values(object, "set", report);
    out.add = read_values(object, "add", report);
    const auto& names = object.list("remove", kMaxModifiers);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto at = item_path(object.path_of("remove"), i);
        auto name = manifest_text(names[i], at, report);
        if (name && check_name(*name, names[i], at, report)) {
            out.remove.push_back(std::move(*name));
        }
    }
    object.finish();
}

void read_rewrite_path(const YamlNode& node, const std::string& path, Report& report,
                       UrlRewrite& out) {
    ManifestObject object(node, path, report);
    const auto type = object.text("type").value_or("");
    out.replace_full_path = object.text("replaceFullPath");
    out.replace_prefix_match = object.text("replacePrefixMatch");
    object.finish();
    if (type != "ReplaceFullPath" && type != "ReplacePrefixMatch") {
        object.error("type", "Expected `ReplaceFullPath` or `ReplacePrefixMatch`.",
                     did_you_mean(type, {"ReplaceFullPath", "ReplacePrefixMatch"}));
        return;
    }
    const bool full = type == "ReplaceFullPath";
    if (out.replace_full_path.has_value() != full || out.replace_prefix_match.has_value() == full) {
        report.error(object.place(), path,
                     "The type " + in_ticks(type) + " goes with exactly the key " +
                         (full ? "`replaceFullPath`." : "`replacePrefixMatch`."));
        return;
    }
    const auto& value = full ? *out.replace_full_path : *out.replace_prefix_match;
    // An empty prefix is the API's way to cut the prefix off.
    if ((full || !value.empty()) &&
        (!value.starts_with('/') || value.find_first_of(" ?#") != std::string::npos)) {
        object.error(full ? "replaceFullPath" : "replacePrefixMatch",
                     "A path starts with `/` and has no space, `?` or `#`.");
    }
}

UrlRewrite read_rewrite(const YamlNode& node, const std::string& path, Report& report) {
    UrlRewrite rewrite;
    ManifestObject object(node, path, report);
    rewrite.hostname = object.text("hostname").value_or("");
    if (!rewrite.hostname.empty() && !is_host_name(rewrite.hostname)) {
        object.error("hostname", in_ticks(rewrite.hostname) + " is not a host name.");
    }
    if (const auto* part = object.get("path")) {
        read_rewrite_path(*part, object.path_of("path"), report, rewrite);
    }
    object.finish();
    return rewrite;
}

}  // namespace

void read_filter(const YamlNode& node, const std::string& path, Report& report,
                 HttpRouteRule& rule) {
    ManifestObject object(node, path, report);
    const auto type = object.text("type").value_or("");
    if (type == "RequestHeaderModifier" || type == "URLRewrite") {
        const bool modifier = type == "RequestHeaderModifier";
        const auto* key = modifier ? "requestHeaderModifier" : "urlRewrite";
        const auto* part = object.get(key);
        object.finish();
        if (part == nullptr) {
            report.error(object.place(), path,
                         "A " + type + " filter needs the key " + in_ticks(key) + ".");
        } else if (!modifier && rule.rewrite) {
            report.error(object.place(), path, "A rule may have one URLRewrite filter.");
        } else if (modifier && rule.request_headers != HeaderModifier{}) {
            report.error(object.place(), path, "A rule may have one RequestHeaderModifier filter.");
        } else if (modifier) {
            read_header_modifier(*part, object.path_of(key), report, rule.request_headers);
        } else {
            rule.rewrite = read_rewrite(*part, object.path_of(key), report);
        }
        return;
    }
    if (type.empty()) {
        report.error(object.place(), path, "A filter needs a `type`.");
        return;
    }
    report.warning(object.place(), path,
                   "The filter " + in_ticks(type) + " is not supported and is ignored.",
                   did_you_mean(type, {"RequestHeaderModifier", "URLRewrite"}));
}

}  // namespace millrace::config
