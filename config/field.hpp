// The vocabulary of config/describe.hpp: what is said about one key, and the words that stand for
// enumerators. Thread-safety: constants and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "config/model.hpp"

namespace millrace::config {

enum class Kind : std::uint8_t {
    natural,  ///< what the member's type says
    size,     ///< an integer of bytes, written `64KiB`
    file,     ///< path of a file that is read; relative to the document
    glob,     ///< path or pattern of files that are read; relative to the document
    output,   ///< path of a file that is written, or `stdout` or `stderr`
    folder,   ///< path of a folder that is written to; relative to the document
};

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
/// The longest duration that is still a plausible setting: one day, in milliseconds.
constexpr std::uint64_t kOneDay = 24ULL * 3600 * 1000;

/// One key. `min` and `max` bound counts, bytes, and durations in milliseconds; for lists, the
/// number of items.
struct Field {
    std::string_view key;
    std::string_view doc;  ///< one full sentence
    Kind kind = Kind::natural;
    bool required = false;
    std::uint64_t min = 0;
    std::uint64_t max = kUnlimited;
};

template <class E>
struct EnumName {
    E value;
    std::string_view name;
};

// The words that stand for enumerators; found by argument-dependent lookup as `names(E{})`.
constexpr auto names(ClientCertificates) {
    using enum ClientCertificates;
    return std::array<EnumName<ClientCertificates>, 3>{
        {{none, "none"}, {optional, "optional"}, {required, "required"}}};
}
constexpr auto names(Underscores) {
    using enum Underscores;
    return std::array<EnumName<Underscores>, 2>{{{reject, "reject"}, {drop, "drop"}}};
}
constexpr auto names(ModelConflict) {
    using enum ModelConflict;
    return std::array<EnumName<ModelConflict>, 2>{{{refuse, "refuse"}, {rewrite, "rewrite"}}};
}
constexpr auto names(Unready) {
    using enum Unready;
    return std::array<EnumName<Unready>, 3>{
        {{redraw, "redraw"}, {hold, "hold"}, {unavailable, "unavailable"}}};
}
constexpr auto names(Affinity) {
    using enum Affinity;
    return std::array<EnumName<Affinity>, 4>{
        {{adapter, "adapter"}, {session, "session"}, {prefix, "prefix"}, {load, "load"}}};
}
constexpr auto names(WorkloadClass) {
    using enum WorkloadClass;
    return std::array<EnumName<WorkloadClass>, 3>{
        {{realtime, "realtime"}, {interactive, "interactive"}, {batch, "batch"}}};
}
constexpr auto names(ContinuousUsage) {
    using enum ContinuousUsage;
    return std::array<EnumName<ContinuousUsage>, 3>{
        {{automatic, "auto"}, {on, "on"}, {off, "off"}}};
}
constexpr auto names(LogLevel) {
    using enum LogLevel;
    return std::array<EnumName<LogLevel>, 4>{
        {{debug, "debug"}, {info, "info"}, {warning, "warning"}, {error, "error"}}};
}

/// The document's word for an enumerator, also used as label of metrics and in messages.
template <class E>
    requires std::is_enum_v<E>
constexpr std::string_view name_of(E value) {
    for (const auto& entry : names(value)) {
        if (entry.value == value) {
            return entry.name;
        }
    }
    return {};
}

}  // namespace millrace::config
