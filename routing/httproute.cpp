#include "routing/httproute.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <limits>
#include <tuple>

#include "routing/httproute_match.hpp"

namespace millrace::routing {
namespace {

using config::HttpRoute;
using config::HttpRouteMatch;
using config::PathMatchType;
using config::ValueMatchType;

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), to_lower);
    return out;
}

/// Regular expressions are refused by the loader; a match that has one all the same never applies.
bool has_regex(const HttpRouteMatch& match) {
    const auto is_regex = [](const auto& value) { return value.type == ValueMatchType::regex; };
    return match.path_type == PathMatchType::regex ||
           std::ranges::any_of(match.headers, is_regex) ||
           std::ranges::any_of(match.query, is_regex);
}

/// Of conditions with one name only the first counts.
std::vector<config::NameValueMatch> first_of_each(std::vector<config::NameValueMatch> wanted,
                                                  bool any_case) {
    std::vector<config::NameValueMatch> out;
    for (auto& want : wanted) {
        want.name = any_case ? lower(want.name) : want.name;
        if (std::ranges::find(out, want.name, &config::NameValueMatch::name) == out.end()) {
            out.push_back(std::move(want));
        }
    }
    return out;
}

/// Builds the entries of one route after the other.
class EntryBuilder {
public:
    using Texts = std::set<std::string, std::less<>>;

    EntryBuilder(std::vector<CompiledMatch>& entries, Texts& texts)
        : entries_(entries), texts_(texts) {}

    void add(const HttpRoute& route) {
        for (std::uint32_t r = 0; r < route.rules.size(); ++r, ++rule_id_) {
            const auto& rule = route.rules[r];
            for (std::uint32_t m = 0; m < rule.matches.size(); ++m) {
                if (has_regex(rule.matches[m])) {
                    continue;
                }
                CompiledMatch entry;
                entry.route = &route;
                entry.rule = &rule;
                entry.match = &rule.matches[m];
                entry.rule_id = rule_id_;
                entry.rule_index = r;
                entry.match_index = m;
                fill_conditions(entry);
                add_per_host(entry);
            }
        }
    }

private:
    std::string_view shared(std::string text) { return *texts_.insert(std::move(text)).first; }

    void fill_conditions(CompiledMatch& entry) {
        const auto& match = *entry.match;
        entry.exact_path = match.path_type == PathMatchType::exact;
        const bool slash = !entry.exact_path && match.path.ends_with('/');
        entry.path = shared(match.path.substr(0, match.path.size() - (slash ? 1 : 0)));
        entry.method = shared(match.method);
        entry.headers = first_of_each(match.headers, true);
        entry.query = first_of_each(match.query, false);
        entry.header_count = entry.headers.size();
        const auto model =
            std::ranges::find(entry.headers, kModelHeader, &config::NameValueMatch::name);
        if (model != entry.headers.end()) {
            entry.model = model->value;
            entry.headers.erase(model);
        }
    }

    void add_per_host(CompiledMatch& entry) {
        if (entry.route->hostnames.empty()) {
            entries_.push_back(entry);
        }
        for (const auto& hostname : entry.route->hostnames) {
            entry.host = shared(lower(hostname.starts_with("*.") ? hostname.substr(1) : hostname));
            entries_.push_back(entry);
        }
    }

    std::vector<CompiledMatch>& entries_;
    Texts& texts_;
    std::uint32_t rule_id_ = 0;
};

int host_rank(const CompiledMatch& entry) {
    return entry.host.empty() ? 0 : entry.host.starts_with('.') ? 1 : 2;
}

/// By `namespace/name` as one text, as the Gateway API says; it differs from comparing the parts.
std::strong_ordering by_name(const HttpRoute& a, const HttpRoute& b) {
    if (a.namespace_name == b.namespace_name) {
        return a.name <=> b.name;
    }
    return a.namespace_name + "/" + a.name <=> b.namespace_name + "/" + b.name;
}

WallTime age(const HttpRoute& route) {
    return route.created.value_or(WallTime::max());
}

struct Order {
    std::strong_ordering order;  // less = the first one comes first
    std::string_view reason;
};

/// Gateway API, HTTPRouteSpec.hostnames and HTTPRouteRule.matches.
Order compare(const CompiledMatch& a, const CompiledMatch& b) {
    const std::array<Order, 11> criteria = {{
        {host_rank(b) <=> host_rank(a), "more specific hostname"},
        {b.host.size() <=> a.host.size(), "longer hostname"},
        {b.exact_path <=> a.exact_path, "exact path"},
        {b.path.size() <=> a.path.size(), "longer path"},
        {a.method.empty() <=> b.method.empty(), "matches on the method"},
        {b.header_count <=> a.header_count, "more header matches"},
        {b.query.size() <=> a.query.size(), "more query parameter matches"},
        {age(*a.route) <=> age(*b.route), "older route"},
        {by_name(*a.route, *b.route), "earlier namespace/name in the alphabet"},
        {std::tie(a.rule_index, a.match_index) <=> std::tie(b.rule_index, b.match_index),
         "earlier in the route's list of rules"},
        {a.rule_id <=> b.rule_id, "earlier in the manifests"},
    }};
    for (const auto& criterion : criteria) {
        if (criterion.order != std::strong_ordering::equal) {
            return criterion;
        }
    }
    return {std::strong_ordering::equal, "the same match listed twice"};
}

}  // namespace

std::string CompiledMatch::describe() const {
    return route->namespace_name + "/" + route->name + " rule " + std::to_string(rule_index + 1) +
           " match " + std::to_string(match_index + 1);
}

HttpRouteTable::HttpRouteTable(const std::vector<HttpRoute>& routes) {
    EntryBuilder builder(entries_, texts_);
    for (const auto& route : routes) {
        builder.add(route);
    }
    std::ranges::sort(entries_,
                      [](const auto& a, const auto& b) { return compare(a, b).order < 0; });
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
        auto& list = entries_[i].model ? by_model_[*entries_[i].model] : general_;
        list.push_back(i);
    }
}

const HttpRouteTable::Candidates* HttpRouteTable::candidates(std::string_view model) const {
    const auto found = by_model_.find(model);
    return found == by_model_.end() ? nullptr : &found->second;
}

std::vector<std::string_view> HttpRouteTable::models() const {
    std::vector<std::string_view> models;
    for (const auto& [model, list] : by_model_) {
        models.push_back(model);
    }
    return models;
}

bool HttpRouteTable::accepts(std::uint32_t entry, const RequestFacts& facts) const {
    return first_mismatch(entries_[entry], facts).part == Condition::Part::none;
}

const CompiledMatch* HttpRouteTable::match(const RequestFacts& facts, const Candidates* by_name,
                                           const Candidates* by_id, bool exact_path_only) const {
    CandidateMerge merge(general_, by_name, by_id);
    while (const auto index = merge.next()) {
        if ((!exact_path_only || entries_[*index].exact_path) && accepts(*index, facts)) {
            return &entries_[*index];
        }
    }
    return nullptr;
}

std::string_view reason_for_order(const CompiledMatch& winner, const CompiledMatch& loser) {
    return compare(winner, loser).reason;
}

}  // namespace millrace::routing
