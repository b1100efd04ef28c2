#include "routing/rewrite.hpp"

#include <algorithm>
#include <array>

#include "config/base/percent.hpp"

namespace millrace::routing {
namespace {

using namespace std::string_view_literals;

/// Fields that the codec owns; a manifest that could write them could split or desynchronise
/// messages.
constexpr std::array kOwnedByCodec = {
    "host"sv,    "connection"sv, "content-length"sv, "transfer-encoding"sv, "te"sv,
    "trailer"sv, "upgrade"sv,    "keep-alive"sv,     "proxy-connection"sv,  "expect"sv};

/// From vLLM's api_server and its dev-mode routers.
constexpr std::array kControlPaths = {"/abort_requests"sv,
                                      "/collective_rpc"sv,
                                      "/get_world_size"sv,
                                      "/init_weight_transfer_engine"sv,
                                      "/is_paused"sv,
                                      "/is_scaling_elastic_ep"sv,
                                      "/is_sleeping"sv,
                                      "/pause"sv,
                                      "/reset_encoder_cache"sv,
                                      "/reset_mm_cache"sv,
                                      "/reset_prefix_cache"sv,
                                      "/resume"sv,
                                      "/scale_elastic_ep"sv,
                                      "/server_info"sv,
                                      "/sleep"sv,
                                      "/start_profile"sv,
                                      "/stop_profile"sv,
                                      "/update_weights"sv,
                                      "/v1/load_lora_adapter"sv,
                                      "/v1/unload_lora_adapter"sv,
                                      "/wake_up"sv};

bool editable(std::string_view name) {
    return std::ranges::none_of(kOwnedByCodec,
                                [&](auto owned) { return equals_ignoring_case(owned, name); });
}

void remove_all(std::vector<HeaderField>& fields, std::string_view name) {
    std::erase_if(fields, [&](const auto& f) { return equals_ignoring_case(f.name, name); });
}

/// The path as a lenient server may read it: decoded once, without empty, `.` and `..` segments.
std::string canonical(std::string_view path) {
    const std::string decoded = percent_decoded(path);
    std::string_view rest = decoded;
    std::string out;
    while (!rest.empty()) {
        const auto segment = rest.substr(0, rest.find('/'));
        rest.remove_prefix(std::min(rest.size(), segment.size() + 1));
        if (segment == "..") {
            const auto parent = out.rfind('/');
            out.erase(parent == std::string::npos ? 0 : parent);
        } else if (!segment.empty() && segment != ".") {
            out += '/';
            out += segment;
        }
    }
    return out;
}

/// Gateway API, HTTPPathModifier: the prefix is replaced by elements, its trailing slash does not
/// count.
std::string replace_prefix(std::string_view path, std::string_view prefix,
                           std::string_view replacement) {
    const std::string_view rest = path.substr(std::min(prefix.size(), path.size()));
    if (replacement.ends_with('/')) {
        replacement.remove_suffix(1);
    }
    std::string out(replacement);
    out += rest;
    return out.empty() ? "/" : out;
}

}  // namespace

void apply_request_headers(const Rule& rule, std::vector<HeaderField>& fields) {
    if (rule.manifest == nullptr) {
        return;
    }
    const auto& edits = rule.manifest->request_headers;
    for (const auto& name : edits.remove) {
        if (editable(name)) {
            remove_all(fields, name);
        }
    }
    for (const auto& [name, value] : edits.set) {
        if (editable(name)) {
            remove_all(fields, name);
            fields.push_back({name, value});
        }
    }
    for (const auto& [name, value] : edits.add) {
        if (editable(name)) {
            fields.push_back({name, value});
        }
    }
}

std::optional<std::string> rewritten_path(const Rule& rule, const CompiledMatch* match,
                                          std::string_view path) {
    if (rule.manifest == nullptr || !rule.manifest->rewrite) {
        return std::nullopt;
    }
    const auto& rewrite = *rule.manifest->rewrite;
    if (rewrite.replace_full_path) {
        return rewrite.replace_full_path->starts_with('/') ? *rewrite.replace_full_path
                                                           : "/" + *rewrite.replace_full_path;
    }
    if (rewrite.replace_prefix_match && match != nullptr &&
        match->match->path_type == config::PathMatchType::prefix) {
        auto out = replace_prefix(path, match->path, *rewrite.replace_prefix_match);
        return out.starts_with('/') ? std::move(out) : "/" + out;
    }
    return std::nullopt;
}

std::string_view rewritten_host(const Rule& rule) {
    return rule.manifest != nullptr && rule.manifest->rewrite
               ? std::string_view(rule.manifest->rewrite->hostname)
               : std::string_view();
}

bool is_control_path(std::string_view path) {
    const std::string plain = canonical(path);
    return std::ranges::find(kControlPaths, plain) != kControlPaths.end();
}

}  // namespace millrace::routing
