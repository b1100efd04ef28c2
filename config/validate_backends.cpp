#include <set>

#include "config/address_syntax.hpp"
#include "config/syntax.hpp"
#include "config/validate.hpp"

namespace millrace::config {

namespace {

/// A label of metrics, and what a Kubernetes namespace may look like.
bool is_namespace(std::string_view text) {
    return text.size() <= 63 && is_host_name(text) && text.find('.') == std::string_view::npos;
}

/// True when at least one endpoint speaks TLS.
bool check_static(const std::vector<std::string>& urls, const std::string& path, Report& report) {
    bool https = false;
    std::set<std::string> seen;
    for (std::size_t i = 0; i < urls.size(); ++i) {
        const auto at = item_path(path, i);
        if (report.failed(at)) {
            continue;
        }
        const auto url = parse_endpoint_url(urls[i]);
        if (!url) {
            report.error_at(at,
                            in_ticks(urls[i]) +
                                " is not an endpoint: expected `http://host:port` or "
                                "`https://host:port` without user, path or query.",
                            urls[i].find("://") == std::string::npos ? "start with `http://`" : "");
            continue;
        }
        https |= url->https;
        if (!seen.insert(format_address({url->host, url->port})).second) {
            report.error_at(at, "The endpoint " + in_ticks(urls[i]) + " is listed twice.");
        }
    }
    return https;
}

void check_dns(const DnsEndpoints& dns, const std::string& path, Report& report) {
    const auto name = child_path(path, "name");
    if (report.failed(path)) {
        return;
    }
    if (is_ipv4(dns.name) || is_ipv6(dns.name)) {
        report.error_at(name, in_ticks(dns.name) + " is an address, not a name.", "use `static`");
    } else if (!is_host_name(dns.name)) {
        report.error_at(name, in_ticks(dns.name) + " is not a host name.");
    }
}

void check_tls(const Backend& backend, const std::string& path, bool https, Report& report) {
    const auto& tls = backend.tls;
    const auto at = child_path(path, "tls");
    if (report.failed(at)) {
        return;
    }
    if (tls.certificate.empty() != tls.key.empty()) {
        report.error_at(at, "`certificate` and `key` go together.");
    }
    if (!tls.server_name.empty() && !is_host_name(tls.server_name)) {
        report.error_at(child_path(at, "server_name"),
                        in_ticks(tls.server_name) + " is not a host name.");
    }
    if (!https && tls != UpstreamTls{} && !report.failed(child_path(path, "endpoints"))) {
        report.warning_at(at, "No endpoint of this backend is https; `tls` does nothing.");
    }
    if (!tls.verify) {
        report.warning_at(child_path(at, "verify"),
                          "The backend's certificate is not verified: anybody on the network path "
                          "can read and change its traffic.");
    }
}

/// Endpoints that can be compared by their first tokens: as many as routing/outlier asks for.
constexpr std::size_t kComparable = 4;

void check_outliers(const Backend& backend, const std::string& path, Report& report) {
    const auto at = child_path(child_path(path, "outliers"), "first_token_percent");
    const auto percent = backend.outliers.first_token_percent;
    if (percent == 0 || report.failed(at)) {
        return;
    }
    if (percent <= 100) {
        report.error_at(at,
                        "`first_token_percent` must be more than 100, or 0 for never: half of all "
                        "endpoints are slower than the median.",
                        "try 300: three times as long as the others");
    } else if (!backend.endpoints.dns && backend.endpoints.static_urls.size() < kComparable) {
        report.warning_at(at, "With fewer than four endpoints, `first_token_percent` ejects none.");
    }
}

void check_backend(const std::string& name, const Backend& backend, const std::string& path,
                   Report& report) {
    if (!is_identifier(name)) {
        report.error_at(path, in_ticks(name) + " is not a valid name for a backend.");
    }
    const auto& endpoints = backend.endpoints;
    const auto at = child_path(path, "endpoints");
    bool https = check_static(endpoints.static_urls, child_path(at, "static"), report);
    if (endpoints.dns) {
        check_dns(*endpoints.dns, child_path(at, "dns"), report);
        https |= endpoints.dns->https;
    }
    if (endpoints.static_urls.empty() && !endpoints.dns && !report.failed(path)) {
        report.error_at(at, "A backend needs endpoints: `static` or `dns`.");
    }
    check_tls(backend, path, https, report);
    check_outliers(backend, path, report);
    if (backend.health && !backend.health->path.starts_with('/')) {
        report.error_at(child_path(child_path(path, "health"), "path"),
                        in_ticks(backend.health->path) + " is not a path: it must begin with `/`.");
    }
    const auto ns = child_path(path, "namespace");
    if (!backend.kubernetes_namespace.empty() && !is_namespace(backend.kubernetes_namespace)) {
        report.error_at(ns,
                        in_ticks(backend.kubernetes_namespace) + " is not a Kubernetes namespace.");
    }
}

}  // namespace

void validate_backends(const Config& config, Report& report) {
    for (const auto& [name, backend] : config.backends) {
        check_backend(name, backend, child_path("backends", name), report);
    }
}

}  // namespace millrace::config
