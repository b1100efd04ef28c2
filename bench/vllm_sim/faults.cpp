#include "bench/vllm_sim/faults.hpp"

#include <algorithm>
#include <array>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

struct Name {
    FaultKind kind;
    std::string_view text;
    FaultPlace place;  ///< when none is given
    bool has_value;
};

constexpr std::array<Name, 14> kNames = {{
    {FaultKind::die, "die", FaultPlace::start, false},
    {FaultKind::rst, "rst", FaultPlace::start, false},
    {FaultKind::stall, "stall", FaultPlace::start, false},
    {FaultKind::error_event, "error-event", FaultPlace::tokens, false},
    {FaultKind::bad_chunk, "bad-chunk", FaultPlace::tokens, false},
    {FaultKind::short_length, "short-length", FaultPlace::start, false},
    {FaultKind::long_length, "long-length", FaultPlace::start, false},
    {FaultKind::lf_head, "lf-head", FaultPlace::start, false},
    {FaultKind::te_cl, "te-cl", FaultPlace::start, false},
    {FaultKind::eof_body, "eof-body", FaultPlace::start, false},
    {FaultKind::slow_head, "slow-head", FaultPlace::start, true},
    {FaultKind::status, "status", FaultPlace::start, true},
    {FaultKind::refuse_usage, "refuse-usage", FaultPlace::start, false},
    {FaultKind::no_usage, "no-usage", FaultPlace::start, false},
}};

std::unexpected<Error> bad_fault(std::string_view text, std::string_view why) {
    return failure(Errc::bad_field, Origin::policy,
                   "The fault '" + std::string(text) + "' " + std::string(why) + ".");
}

bool read_place(Fault& fault, std::string_view place) {
    if (place == "start") {
        fault.place = FaultPlace::start;
        return true;
    }
    if (place == "head") {
        fault.place = FaultPlace::head;
        return true;
    }
    const std::size_t equals = place.find('=');
    const std::string_view unit = place.substr(0, equals);
    if (equals == std::string_view::npos || (unit != "tokens" && unit != "bytes")) {
        return false;
    }
    fault.place = unit == "tokens" ? FaultPlace::tokens : FaultPlace::bytes;
    const auto at = to_number<std::uint64_t>(place.substr(equals + 1));
    fault.at = at.value_or(0);
    return at.has_value();
}

}  // namespace

Result<Fault> parse_fault(std::string_view text) {
    Fault fault;
    if (text.empty()) {
        return fault;
    }
    std::string_view rest = text;
    if (const std::size_t comma = rest.find(','); comma != std::string_view::npos) {
        constexpr std::string_view kRetryAfter = "retry-after=";
        const std::string_view extra = rest.substr(comma + 1);
        const auto seconds =
            to_number<std::uint32_t>(extra.substr(std::min(kRetryAfter.size(), extra.size())));
        if (!extra.starts_with(kRetryAfter) || !seconds) {
            return bad_fault(text, "may only be followed by ',retry-after=SECONDS'");
        }
        fault.retry_after = *seconds;
        rest = rest.substr(0, comma);
    }
    const std::size_t place = rest.find('@');
    const std::string_view head = rest.substr(0, place);
    const std::size_t equals = head.find('=');
    const auto name = std::ranges::find(kNames, head.substr(0, equals), &Name::text);
    if (name == kNames.end()) {
        return bad_fault(text,
                         "is none of die, rst, stall, error-event, bad-chunk, short-length, "
                         "long-length, lf-head, te-cl, eof-body, slow-head, status, "
                         "refuse-usage, no-usage");
    }
    fault.kind = name->kind;
    fault.place = name->place;
    if (name->has_value != (equals != std::string_view::npos)) {
        return bad_fault(text, name->has_value ? "needs '=NUMBER'" : "takes no value");
    }
    if (name->has_value) {
        const auto value = to_number<std::uint32_t>(head.substr(equals + 1));
        if (!value) {
            return bad_fault(text, "needs a number behind '='");
        }
        fault.value = *value;
    }
    if (place != std::string_view::npos && !read_place(fault, rest.substr(place + 1))) {
        return bad_fault(text, "must end in @start, @head, @tokens=K or @bytes=N");
    }
    return fault;
}

std::string_view to_string(FaultKind kind) {
    const auto name = std::ranges::find(kNames, kind, &Name::kind);
    return name == kNames.end() ? "none" : name->text;
}

void FaultPlan::set(const Fault& fault, std::uint32_t every, std::uint64_t count) {
    const std::scoped_lock lock(mutex_);
    fault_ = fault;
    every_ = std::max(1U, every);
    left_ = fault.kind == FaultKind::none ? 0 : count;
    seen_ = 0;
    armed_ = left_ > 0;
}

Fault FaultPlan::next() {
    if (!armed_.load(std::memory_order_acquire)) {
        return {};
    }
    const std::scoped_lock lock(mutex_);
    if (left_ == 0 || ++seen_ % every_ != 0) {
        return {};
    }
    --left_;
    return fault_;
}

}  // namespace millrace::vllm_sim
