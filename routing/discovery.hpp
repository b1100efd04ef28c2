// From what the document says and what DNS answered to a list of endpoints. Pure: the lookups are
// gateway's.
//
// An empty answer keeps the last good one (a resolver outage must not empty a pool). Literal
// addresses of our own document are trusted; addresses that a name resolved to are held against the
// SSRF list, so that whoever controls a name cannot point us at a metadata service or at ourselves.
// Thread-safety: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "config/model.hpp"
#include "routing/endpoints.hpp"

namespace millrace::routing {

/// As config::parse_endpoint_url() reads it.
Result<EndpointAddress> parse_endpoint_url(std::string_view url);

/// Why a resolved address is refused ("169.254.169.254 is link-local …"), or nullopt. Understands
/// IPv4, IPv6, IPv4-mapped and NAT64 forms; anything else is refused.
std::optional<std::string> refused_address(std::string_view address);

struct Discovery {
    std::vector<EndpointAddress> endpoints;  ///< static ones first, then DNS
    std::vector<EndpointAddress> from_dns;   ///< what to pass as `last_good` next time
    bool kept_last_good = false;             ///< the answer held nothing usable
    std::vector<std::string> problems;       ///< sentences: refused addresses, unreadable URLs
};

/// `answer`: address literals that `configured.dns->name` resolved to; empty = failure or no
/// answer. `trusted`: skip the SSRF list.
Discovery discover(const config::Endpoints& configured, const std::vector<std::string>& answer,
                   const std::vector<EndpointAddress>& last_good, bool trusted = false);

}  // namespace millrace::routing
