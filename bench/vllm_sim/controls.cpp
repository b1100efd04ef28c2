// The test controls of a request: names, values and where they come from.
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "bench/vllm_sim/json_scan.hpp"
#include "bench/vllm_sim/request.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::optional<Duration> to_ms(std::string_view text) {
    const std::string copy(text);
    char* end = nullptr;
    const double ms = std::strtod(copy.c_str(), &end);
    if (copy.empty() || end != copy.c_str() + copy.size() || !(ms >= 0) || ms > 1e9) {
        return std::nullopt;
    }
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

/// A number or a quoted number, as raw JSON.
std::string_view unquoted(std::string_view raw) {
    return is_string(raw) ? raw.substr(1, raw.size() - 2) : raw;
}

template <class T>
bool assign(std::optional<T>& target, std::optional<T> value) {
    target = value;
    return value.has_value();
}

}  // namespace

bool set_control(Controls& controls, std::string_view name, std::string_view value) {
    value = unquoted(value);
    if (name == "tokens") {
        return assign(controls.tokens, to_number<std::uint32_t>(value));
    }
    if (name == "response-bytes") {
        return assign(controls.response_bytes, to_number<std::uint32_t>(value));
    }
    if (name == "prompt-tokens") {
        return assign(controls.prompt_tokens, to_number<std::uint32_t>(value));
    }
    if (name == "cached-tokens") {
        return assign(controls.cached_tokens, to_number<std::uint32_t>(value));
    }
    if (name == "reasoning-tokens") {
        return assign(controls.reasoning_tokens, to_number<std::uint32_t>(value));
    }
    if (name == "seed") {
        return assign(controls.seed, to_number<std::uint64_t>(value));
    }
    if (name == "ttft-ms") {
        return assign(controls.ttft, to_ms(value));
    }
    if (name == "inter-token-ms") {
        return assign(controls.inter_token, to_ms(value));
    }
    if (name == "fault") {
        controls.fault = value;
        return true;
    }
    return false;
}

std::string read_controls(Controls& controls, const HeaderField& field) {
    constexpr std::string_view kPrefix = "x-sim-";
    if (field.name.size() <= kPrefix.size() ||
        !equals_ignoring_case(field.name.substr(0, kPrefix.size()), kPrefix)) {
        return {};
    }
    std::string name(field.name.substr(kPrefix.size()));
    std::ranges::transform(name, name.begin(), to_lower);
    return set_control(controls, name, field.value) ? std::string() : std::string(field.name);
}

}  // namespace millrace::vllm_sim
