// HTTPRoute manifests compiled into one ordered list with the Gateway API's precedence: hostname
// (exact, then the longest wildcard, then none), exact path, longest prefix, method,
// number of headers, number of query parameters, age (a manifest without timestamp last),
// namespace/name, rule order. The first entry that matches wins.
//
// Entries that want one exact x-model-id are indexed by its value: with ten thousand routes a
// request looks only at those of its own model and at those that want none. Paths are compared as
// received, by elements. Thread-safety: immutable after construction. Lifetime: the manifests must
// outlive the table.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/manifest.hpp"
#include "routing/facts.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

/// Lookup by string_view without building a string.
struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const {
        return std::hash<std::string_view>{}(name);
    }
};
template <class T>
using NameMap = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

/// One match of one rule of one route for one of its hostnames.
struct CompiledMatch {
    // What every request asks, together and without pointers into the manifest: with thousands of
    // routes each line touched is a cache miss. The views share their characters.
    std::string_view path;  ///< a prefix without trailing slash
    bool exact_path = false;
    std::string_view method;  ///< empty = any
    std::string_view host;    ///< lower-cased; a wildcard as `.example.com`; empty = any
    std::vector<config::NameValueMatch> headers;  ///< without x-model-id
    std::vector<config::NameValueMatch> query;

    const config::HttpRoute* route = nullptr;
    const config::HttpRouteRule* rule = nullptr;
    const config::HttpRouteMatch* match = nullptr;
    std::uint32_t rule_id = 0;         ///< number of the rule over all routes in load order
    std::uint32_t rule_index = 0;      ///< within the route
    std::uint32_t match_index = 0;     ///< within the rule
    std::optional<std::string> model;  ///< exact x-model-id
    std::size_t header_count = 0;      ///< for precedence, x-model-id included

    /// `namespace/name rule 1 match 2`, counted from 1.
    std::string describe() const;
};

class HttpRouteTable {
public:
    using Candidates = std::vector<std::uint32_t>;

    HttpRouteTable() = default;
    explicit HttpRouteTable(const std::vector<config::HttpRoute>& routes);
    HttpRouteTable(HttpRouteTable&&) = default;
    HttpRouteTable& operator=(HttpRouteTable&&) = default;
    HttpRouteTable(const HttpRouteTable&) = delete;  // the entries view texts_
    HttpRouteTable& operator=(const HttpRouteTable&) = delete;
    ~HttpRouteTable() = default;

    /// All entries, best first.
    const std::vector<CompiledMatch>& entries() const { return entries_; }
    /// Entries that want exactly this x-model-id, best first; null = none.
    const Candidates* candidates(std::string_view model) const;
    /// Entries that want no exact x-model-id, best first.
    const Candidates& general() const { return general_; }
    /// All exact x-model-id values.
    std::vector<std::string_view> models() const;

    /// Does this entry match, apart from the model?
    bool accepts(std::uint32_t entry, const RequestFacts& facts) const;
    /// Best entry among general() and the two lists (null = empty list); `exact_path_only` passes
    /// over prefixes.
    const CompiledMatch* match(const RequestFacts& facts, const Candidates* by_name,
                               const Candidates* by_id, bool exact_path_only = false) const;

private:
    std::set<std::string, std::less<>> texts_;  // paths, methods and hosts, each once
    std::vector<CompiledMatch> entries_;
    NameMap<Candidates> by_model_;
    Candidates general_;
};

/// Why `entry` does not match, apart from the model ("path /x is not under /v1"), or nullopt when
/// it does.
std::optional<std::string> mismatch(const CompiledMatch& entry, const RequestFacts& facts);
/// Adds why `winner` (null = none) was taken among the entries that were looked at.
void trace_routes(const HttpRouteTable& table, const RequestFacts& facts,
                  const HttpRouteTable::Candidates* by_name,
                  const HttpRouteTable::Candidates* by_id, const CompiledMatch* winner,
                  Trace& trace);
/// Which criterion puts `winner` before `loser` ("longer path prefix").
std::string_view reason_for_order(const CompiledMatch& winner, const CompiledMatch& loser);

}  // namespace millrace::routing
