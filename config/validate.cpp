#include "config/validate.hpp"

#include <array>
#include <map>
#include <utility>

#include "config/address_syntax.hpp"
#include "config/base/header_field.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

void check_listener(const std::string& path, const Address& address, Report& report) {
    if (report.failed(path) || is_ipv4(address.host) || is_ipv6(address.host)) {
        return;
    }
    report.error_at(
        path, "A listener's address is an IP address, not the name " + in_ticks(address.host) + ".",
        address.host == "localhost" ? "write `127.0.0.1`" : "");
}

/// Port 0 takes any free port, so two of them do not collide.
void check_ports(const Listeners& listeners, Report& report) {
    const std::array<std::pair<const char*, std::uint16_t>, 3> ports = {{
        {"listeners.data.address", listeners.data.address.port},
        {"listeners.metrics.address", listeners.metrics.address.port},
        {"listeners.admin.address", listeners.admin.address.port},
    }};
    std::map<std::uint16_t, const char*> seen;
    for (const auto& [path, port] : ports) {
        const auto [first, added] = seen.emplace(port, path);
        if (!added && port != 0) {
            report.error_at(path, "Port " + std::to_string(port) + " is already used by " +
                                      in_ticks(first->second) + ".");
        }
    }
}

void check_listener_tls(const std::optional<ListenerTls>& tls, Report& report) {
    if (!tls || report.failed("listeners.data.tls")) {
        return;
    }
    const bool asked = tls->client_certificates != ClientCertificates::none;
    if (asked && tls->client_ca.empty()) {
        report.error_at("listeners.data.tls",
                        "`client_certificates` needs `client_ca` to check them against.");
    } else if (!asked && !tls->client_ca.empty()) {
        report.error_at("listeners.data.tls.client_ca",
                        "`client_ca` does nothing while `client_certificates` is `none`.",
                        "set `client_certificates: required` or `optional`");
    }
}

void check_limits(const Limits& limits, Report& report) {
    if (report.failed("limits")) {
        return;
    }
    if (limits.buffered_bytes != 0 && limits.buffered_bytes < limits.body) {
        report.error_at("limits.buffered_bytes", "`buffered_bytes` is smaller than one `body` of " +
                                                     format_size(limits.body) +
                                                     ", which then could never be read.");
    }
}

void check_proxies(const Trust& trust, Report& report) {
    for (std::size_t i = 0; i < trust.proxies.size(); ++i) {
        const auto path = item_path("trust.proxies", i);
        if (!report.failed(path) && !parse_cidr(trust.proxies[i])) {
            report.error_at(path, in_ticks(trust.proxies[i]) +
                                      " is not a network such as `10.0.0.0/8` (with no bits behind "
                                      "the prefix) or a single address.");
        }
    }
}

void check_certificates(const Config& config, Report& report) {
    const std::string path = "authentication.certificates";
    const auto& certificates = config.authentication.certificates;
    for (const auto& [name, tenant] : certificates) {
        if (const auto at = child_path(path, name); !report.failed(at) && !is_identifier(tenant)) {
            report.error_at(at, in_ticks(tenant) + " is not a valid name for a tenant.");
        }
    }
    const auto& tls = config.listeners.data.tls;
    if (!certificates.empty() && !report.failed("listeners") &&
        (!tls || tls->client_certificates == ClientCertificates::none)) {
        report.error_at(path, "`certificates` does nothing while clients are not asked for one.",
                        "set `listeners.data.tls.client_certificates`");
    }
}

void check_tenant_header(const Config& config, Report& report) {
    const std::string path = "authentication.tenant_header";
    const auto& name = config.authentication.tenant_header;
    if (name.empty() || report.failed(path)) {
        return;
    }
    if (!is_token(name)) {
        report.error_at(path, in_ticks(name) + " is not a header name.");
    } else if (is_identity_header(name)) {
        report.error_at(path, in_ticks(name) +
                                  " has a meaning already or is removed on the way "
                                  "in; it cannot name a tenant.");
    } else if (config.trust.proxies.empty() && !report.failed("trust")) {
        report.error_at(path, "`tenant_header` does nothing while no proxy is trusted.",
                        "set `trust.proxies`");
    }
}

}  // namespace

void validate_server(const Config& config, Report& report) {
    check_listener("listeners.data.address", config.listeners.data.address, report);
    check_listener("listeners.metrics.address", config.listeners.metrics.address, report);
    check_listener("listeners.admin.address", config.listeners.admin.address, report);
    check_ports(config.listeners, report);
    check_listener_tls(config.listeners.data.tls, report);
    const auto& admin = config.listeners.admin;
    if (!admin.token && !report.failed("listeners.admin") && !is_loopback(admin.address.host)) {
        report.error_at("listeners.admin",
                        "The admin listener is reachable from elsewhere and needs a `token`.",
                        "or listen on 127.0.0.1");
    }
    check_limits(config.limits, report);
    check_proxies(config.trust, report);
    check_certificates(config, report);
    check_tenant_header(config, report);
    if (!config.authentication.keys && !report.failed("authentication")) {
        report.warning_at(
            "authentication",
            "No authentication is configured: everybody who reaches the data listener "
            "is let in.");
    }
}

void validate(const Config& config, Report& report) {
    validate_server(config, report);
    validate_models(config, report);
    validate_rollouts(config, report);
    validate_backends(config, report);
}

}  // namespace millrace::config
