#include "config/manifest_reader.hpp"

#include <algorithm>

#include "config/address_syntax.hpp"
#include "config/base/header_field.hpp"
#include "config/describe.hpp"
#include "config/manifest_parts.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

// Gateway API limits on one HTTPRoute.
constexpr std::size_t kMaxRules = 16;
constexpr std::size_t kMaxMatchesPerRule = 64;
constexpr std::size_t kMaxMatchesPerRoute = 128;
constexpr std::size_t kMaxFilters = 16;
constexpr std::size_t kMaxBackends = 16;
constexpr std::size_t kMaxHostnames = 16;
constexpr std::size_t kMaxParents = 32;

/// `2024-05-17T08:30:00Z`, the form in which Kubernetes writes times.
std::optional<WallTime> parse_timestamp(std::string_view text) {
    if (text.size() != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':' || text[19] != 'Z') {
        return std::nullopt;
    }
    int fields[6] = {};
    constexpr std::size_t kStarts[6] = {0, 5, 8, 11, 14, 17};
    for (std::size_t i = 0; i < 6; ++i) {
        for (const char c : text.substr(kStarts[i], i == 0 ? 4 : 2)) {
            if (c < '0' || c > '9') {
                return std::nullopt;
            }
            fields[i] = fields[i] * 10 + (c - '0');
        }
    }
    const std::chrono::year_month_day date{std::chrono::year(fields[0]),
                                           std::chrono::month(static_cast<unsigned>(fields[1])),
                                           std::chrono::day(static_cast<unsigned>(fields[2]))};
    // Outside these years the system clock's nanoseconds overflow.
    if (!date.ok() || fields[0] < 1970 || fields[0] > 2200 || fields[3] > 23 || fields[4] > 59 ||
        fields[5] > 60) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + std::chrono::hours(fields[3]) +
           std::chrono::minutes(fields[4]) + std::chrono::seconds(fields[5]);
}

class RouteReader {
public:
    RouteReader(const std::map<std::string, Backend>& backends, Report& report)
        : backends_(backends), report_(report) {}

    /// One document; `List` documents (kubectl get -o yaml) hold several.
    void document(const YamlNode& node, const std::string& path, std::vector<HttpRoute>& routes) {
        if (node.is_null()) {
            return;  // `---` at the start or end of a file
        }
        ManifestObject object(node, path, report_);
        const auto version = object.text("apiVersion").value_or("");
        const auto kind = object.text("kind").value_or("");
        if (kind == "List" && version == "v1") {
            const auto& items = object.list("items", kMaxYamlNodes);
            for (std::size_t i = 0; i < items.size(); ++i) {
                document(items[i], item_path(object.path_of("items"), i), routes);
            }
            return;
        }
        if (!version.starts_with("gateway.networking.k8s.io/") || kind != "HTTPRoute") {
            report_.warning(object.place(), path,
                            "A document of kind " + in_ticks(kind) + " (" + in_ticks(version) +
                                ") is ignored; only HTTPRoute is read here.",
                            did_you_mean(kind, {"HTTPRoute"}));
            return;
        }
        if (!version.ends_with("/v1") && !version.ends_with("/v1beta1")) {
            object.error("apiVersion",
                         "The API version " + in_ticks(version) + " is not supported.",
                         "use gateway.networking.k8s.io/v1");
            return;
        }
        routes.push_back(route(object));
    }

private:
    HttpRoute route(ManifestObject& object) {
        HttpRoute route;
        if (const auto* part = object.get("metadata")) {
            metadata(*part, object.path_of("metadata"), route);
        }
        if (route.name.empty()) {
            report_.error(object.place(), object.path(), "The key `metadata.name` is required.");
        }
        if (const auto* part = object.get("spec")) {
            spec(*part, object.path_of("spec"), route);
        } else {
            report_.error(object.place(), object.path(), "The key `spec` is required.");
        }
        object.ignore({"status"});
        object.finish();
        return route;
    }

    void metadata(const YamlNode& node, const std::string& path, HttpRoute& route) {
        ManifestObject object(node, path, report_);  // no finish(): other keys belong to others
        route.name = object.text("name").value_or("");
        route.namespace_name = object.text("namespace").value_or("default");
        if (const auto created = object.text("creationTimestamp")) {
            route.created = parse_timestamp(*created);
            if (!route.created) {
                object.warning("creationTimestamp",
                               "Expected a time such as `2024-05-17T08:30:00Z`; the route sorts "
                               "last among equals.");
            }
        }
    }

    void spec(const YamlNode& node, const std::string& path, HttpRoute& route) {
        ManifestObject object(node, path, report_);
        if (!object.valid()) {
            return;
        }
        object.list("parentRefs", kMaxParents);
        object.ignore({"useDefaultGateways"});
        const auto& names = object.list("hostnames", kMaxHostnames);
        for (std::size_t i = 0; i < names.size(); ++i) {
            hostname(names[i], item_path(object.path_of("hostnames"), i), route);
        }
        const auto& rules = object.list("rules", kMaxRules);
        std::size_t matches = 0;
        for (std::size_t i = 0; i < rules.size(); ++i) {
            route.rules.push_back(rule(rules[i], item_path(object.path_of("rules"), i)));
            matches += route.rules.back().matches.size();
        }
        if (rules.empty()) {
            report_.warning(object.place(), path, "The route has no rules; it matches nothing.");
        }
        if (matches > kMaxMatchesPerRoute) {
            object.error("rules", "The rules have " + std::to_string(matches) +
                                      " matches; the Gateway API allows " +
                                      std::to_string(kMaxMatchesPerRoute) + " per route.");
        }
        object.finish();
    }

    void hostname(const YamlNode& node, const std::string& path, HttpRoute& route) {
        auto name = manifest_text(node, path, report_);
        if (!name) {
            return;
        }
        std::ranges::transform(*name, name->begin(), to_lower);
        const auto bare = std::string_view(*name).substr(name->starts_with("*.") ? 2 : 0);
        if (!is_host_name(bare) || is_ipv4(bare)) {
            report_.error(node.place, path,
                          in_ticks(*name) + " is not a host name, optionally with a leading `*.`.");
            return;
        }
        route.hostnames.push_back(std::move(*name));
    }

    HttpRouteRule rule(const YamlNode& node, const std::string& path) {
        HttpRouteRule rule;
        ManifestObject object(node, path, report_);
        if (!object.valid()) {
            return rule;
        }
        const auto& matches = object.list("matches", kMaxMatchesPerRule);
        for (std::size_t i = 0; i < matches.size(); ++i) {
            rule.matches.push_back(
                read_match(matches[i], item_path(object.path_of("matches"), i), report_));
        }
        if (rule.matches.empty()) {
            rule.matches.emplace_back();
        }
        const auto& filters = object.list("filters", kMaxFilters);
        for (std::size_t i = 0; i < filters.size(); ++i) {
            read_filter(filters[i], item_path(object.path_of("filters"), i), report_, rule);
        }
        if (rule.rewrite && rule.rewrite->replace_prefix_match &&
            std::ranges::any_of(rule.matches, [](const HttpRouteMatch& match) {
                return match.path_type != PathMatchType::prefix;
            })) {
            object.error("filters",
                         "`replacePrefixMatch` needs every match of the rule to be a "
                         "PathPrefix.");
        }
        backend_refs(object, rule);
        if (const auto* part = object.get("timeouts")) {
            timeouts(*part, object.path_of("timeouts"), rule);
        }
        object.ignore({"name"});
        object.unsupported({"retry", "sessionPersistence"});
        object.finish();
        return rule;
    }

    void backend_refs(ManifestObject& object, HttpRouteRule& rule) {
        const auto& refs = object.list("backendRefs", kMaxBackends);
        std::uint64_t weights = 0;
        for (std::size_t i = 0; i < refs.size(); ++i) {
            rule.backends.push_back(
                backend_ref(refs[i], item_path(object.path_of("backendRefs"), i)));
            weights += rule.backends.back().weight;
        }
        if (refs.empty()) {
            report_.warning(object.place(), object.path(),
                            "The rule has no backendRefs; its requests are answered 500.");
        } else if (weights == 0) {
            object.warning("backendRefs",
                           "All weights are 0; requests of this rule are answered 503.");
        }
    }

    BackendRef backend_ref(const YamlNode& node, const std::string& path) {
        BackendRef ref;
        ManifestObject object(node, path, report_);
        if (!object.valid()) {
            return ref;
        }
        ref.name = object.text("name").value_or("");
        ref.port = static_cast<std::uint16_t>(object.count("port", 1, 65'535).value_or(0));
        ref.weight = static_cast<std::uint32_t>(object.count("weight", 0, kMaxWeight).value_or(1));
        object.ignore({"group", "kind", "namespace"});
        object.unsupported({"filters"});
        object.finish();
        if (ref.name.empty()) {
            report_.error(object.place(), path, "A backendRef needs a `name`.");
        } else if (!backends_.contains(ref.name)) {
            std::vector<std::string_view> known;
            known.reserve(backends_.size());
            for (const auto& [name, backend] : backends_) {
                known.push_back(name);
            }
            object.warning(
                "name",
                in_ticks(ref.name) + " is not a key of `backends`; its share is answered 500.",
                did_you_mean(ref.name, known));
        }
        return ref;
    }

    void timeouts(const YamlNode& node, const std::string& path, HttpRouteRule& rule) {
        ManifestObject object(node, path, report_);
        rule.request_timeout = object.duration("request").value_or(Duration::zero());
        rule.backend_request_timeout = object.duration("backendRequest").value_or(Duration::zero());
        object.finish();
        if (rule.request_timeout > Duration::zero() &&
            rule.backend_request_timeout > rule.request_timeout) {
            object.error("backendRequest", "`backendRequest` must not be longer than `request`.");
        }
    }

    const std::map<std::string, Backend>& backends_;
    Report& report_;
};

}  // namespace

std::vector<HttpRoute> read_manifest(std::string_view text,
                                     const std::map<std::string, Backend>& backends,
                                     Report& report) {
    std::vector<HttpRoute> routes;
    RouteReader reader(backends, report);
    for (const auto& document : read_yaml(text, report)) {
        reader.document(document, "", routes);
    }
    return routes;
}

}  // namespace millrace::config
