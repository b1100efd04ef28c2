#include "routing/httproute_match.hpp"

#include "config/base/percent.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {
namespace {

using Part = Condition::Part;

bool path_matches(const CompiledMatch& entry, std::string_view path) {
    if (entry.exact_path) {
        return path == entry.path;
    }
    return path.starts_with(entry.path) &&
           (path.size() == entry.path.size() || path[entry.path.size()] == '/');
}

bool host_matches(std::string_view wanted, std::string_view field) {
    if (wanted.empty()) {
        return true;
    }
    const auto host = host_name(field);
    if (!wanted.starts_with('.')) {
        return equals_ignoring_case(wanted, host);
    }
    return host.size() > wanted.size() &&
           equals_ignoring_case(wanted, host.substr(host.size() - wanted.size()));
}

bool header_matches(const config::NameValueMatch& wanted, const RequestFacts& facts) {
    const auto* first = find_field(facts.headers, wanted.name);
    if (first == nullptr) {
        return false;
    }
    const auto* const end = facts.headers.data() + facts.headers.size();
    const auto same_name = [&](const HeaderField& field) {
        return equals_ignoring_case(field.name, wanted.name);
    };
    const auto* next = std::find_if(first + 1, end, same_name);
    if (next == end) {
        return wanted.value == first->value;
    }
    std::string joined(first->value);  // RFC 9110 5.3: one list in several lines
    for (; next != end; next = std::find_if(next + 1, end, same_name)) {
        joined += ',';
        joined += next->value;
    }
    return wanted.value == joined;
}

/// Of a repeated parameter the first value counts, as the Gateway API recommends.
bool query_matches(const config::NameValueMatch& wanted, std::string_view query) {
    while (!query.empty()) {
        const auto parameter = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), parameter.size() + 1));
        const auto equals = parameter.find('=');
        const auto name = parameter.substr(0, equals);
        const auto value =
            equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
        const bool encoded = parameter.find('%') != std::string_view::npos;
        if (encoded ? percent_decoded(name) == wanted.name : name == wanted.name) {
            return (encoded ? percent_decoded(value) : std::string(value)) == wanted.value;
        }
    }
    return false;
}

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

std::string wanted_value(std::string_view kind, const config::NameValueMatch& value) {
    return std::string(kind) + " " + value.name + " is not " + quoted(value.value);
}

std::string path_reason(const CompiledMatch& entry, std::string_view path) {
    return "path " + quoted(path) + (entry.exact_path ? " is not " : " is not under ") +
           quoted(entry.match->path);
}

}  // namespace

std::string_view host_name(std::string_view host) {
    if (const auto colon = host.rfind(':');
        colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
        host = host.substr(0, colon);
    }
    if (host.ends_with('.')) {
        host.remove_suffix(1);
    }
    return host;
}

Condition first_mismatch(const CompiledMatch& entry, const RequestFacts& facts) {
    if (!path_matches(entry, facts.path)) {
        return {Part::path};
    }
    if (!entry.method.empty() && entry.method != facts.method) {
        return {Part::method};
    }
    if (!host_matches(entry.host, facts.host)) {
        return {Part::host};
    }
    for (const auto& wanted : entry.headers) {
        if (!header_matches(wanted, facts)) {
            return {Part::header, &wanted};
        }
    }
    for (const auto& wanted : entry.query) {
        if (!query_matches(wanted, facts.query)) {
            return {Part::query, &wanted};
        }
    }
    return {Part::none};
}

std::optional<std::string> mismatch(const CompiledMatch& entry, const RequestFacts& facts) {
    const auto condition = first_mismatch(entry, facts);
    switch (condition.part) {
        case Part::none: return std::nullopt;
        case Part::path: return path_reason(entry, facts.path);
        case Part::method:
            return "method " + std::string(facts.method) + " is not " + std::string(entry.method);
        case Part::host:
            return "host " + quoted(host_name(facts.host)) + " is not " +
                   quoted((entry.host.starts_with('.') ? "*" : "") + std::string(entry.host));
        case Part::header: return wanted_value("header", *condition.value);
        case Part::query: return wanted_value("query parameter", *condition.value);
    }
    return std::nullopt;
}

void trace_routes(const HttpRouteTable& table, const RequestFacts& facts,
                  const HttpRouteTable::Candidates* by_name,
                  const HttpRouteTable::Candidates* by_id, const CompiledMatch* winner,
                  Trace& trace) {
    constexpr std::size_t kShown = 32;
    CandidateMerge merge(table.general(), by_name, by_id);
    std::size_t looked_at = 0;
    while (const auto index = merge.next()) {
        const auto& entry = table.entries()[*index];
        ++looked_at;
        if (&entry == winner) {
            trace.add({"HTTPRoute ", entry.describe(), " matches and is taken."});
        } else if (looked_at > kShown) {
            continue;
        } else if (const auto why = mismatch(entry, facts)) {
            trace.add({"HTTPRoute ", entry.describe(), " does not match: ", *why, "."});
        } else if (winner != nullptr && winner < &entry) {
            trace.add({"HTTPRoute ", entry.describe(),
                       " matches too, but the taken one goes before it: ",
                       reason_for_order(*winner, entry), "."});
        } else {
            trace.add({"HTTPRoute ", entry.describe(),
                       " matches, but a control endpoint needs an exact path."});
        }
    }
    if (looked_at > kShown) {
        trace.add({std::to_string(looked_at - kShown), " more HTTPRoute matches are not listed."});
    }
    if (const auto others = table.entries().size() - looked_at; others > 0) {
        trace.add({std::to_string(others), " HTTPRoute matches want another model."});
    }
}

}  // namespace millrace::routing
