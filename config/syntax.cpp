#include "config/syntax.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace millrace::config {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Milliseconds of the unit at the front of `text`, which loses it; 0 = no unit there.
std::uint64_t take_unit(std::string_view& text) {
    struct Unit {
        std::string_view name;
        std::uint64_t milliseconds;
    };
    // `ms` before `m`, else `5ms` would read as five minutes and an `s`.
    constexpr Unit kUnits[] = {{"ms", 1}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}};
    for (const auto& unit : kUnits) {
        if (text.starts_with(unit.name)) {
            text.remove_prefix(unit.name.size());
            return unit.milliseconds;
        }
    }
    return 0;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
    if (text == "0") {
        return Duration::zero();
    }
    std::uint64_t milliseconds = 0;
    int parts = 0;
    while (!text.empty()) {
        const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
        if (digits == 0 || digits > 5 || ++parts > 4) {
            return std::nullopt;
        }
        std::uint64_t amount = 0;
        std::from_chars(text.data(), text.data() + digits, amount);
        text.remove_prefix(digits);
        const auto unit = take_unit(text);
        if (unit == 0) {
            return std::nullopt;
        }
        milliseconds += amount * unit;
    }
    if (parts == 0) {
        return std::nullopt;
    }
    return std::chrono::milliseconds(milliseconds);
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
    if (text.empty() || (text.size() > 1 && text.front() == '0') ||
        !std::ranges::all_of(text, is_digit)) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t unit = 1;
    if (text.ends_with("KiB")) {
        unit = kKiB;
    } else if (text.ends_with("MiB")) {
        unit = kMiB;
    } else if (text.ends_with("GiB")) {
        unit = 1024 * kMiB;
    }
    const auto amount = parse_count(unit == 1 ? text : text.substr(0, text.size() - 3));
    if (!amount || *amount > std::numeric_limits<std::uint64_t>::max() / unit) {
        return std::nullopt;
    }
    return *amount * unit;
}

std::optional<Dollars> parse_dollars(std::string_view text) {
    constexpr std::size_t kMostDigits = 6;
    const auto point = text.find('.');
    const auto whole = text.substr(0, point);
    auto fraction =
        point == std::string_view::npos ? std::string() : std::string(text.substr(point + 1));
    const auto amount = parse_count(whole);
    if (!amount || whole.size() > kMostDigits || fraction.size() > kMostDigits ||
        (point != std::string_view::npos && fraction.empty()) ||
        !std::ranges::all_of(fraction, is_digit)) {
        return std::nullopt;
    }
    std::uint64_t millionths = *amount;
    fraction.resize(kMostDigits, '0');
    for (const char digit : fraction) {
        millionths = millionths * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    return Dollars{millionths};
}

std::string format_duration(Duration value) {
    auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
    if (rest <= 0) {
        return "0s";
    }
    std::string text;
    const auto part = [&](long unit, const char* name) {
        if (rest >= unit) {
            text += std::to_string(rest / unit) + name;
            rest %= unit;
        }
    };
    part(3'600'000, "h");
    part(60'000, "m");
    part(1'000, "s");
    part(1, "ms");
    return text;
}

std::string format_size(std::uint64_t bytes) {
    if (bytes > 0 && bytes % kMiB == 0) {
        return std::to_string(bytes / kMiB) + "MiB";
    }
    if (bytes > 0 && bytes % kKiB == 0) {
        return std::to_string(bytes / kKiB) + "KiB";
    }
    return std::to_string(bytes);
}

std::string format_dollars(Dollars amount) {
    constexpr std::uint64_t kOne = 1'000'000;
    auto text = std::to_string(amount.millionths / kOne);
    if (const auto rest = amount.millionths % kOne; rest > 0) {
        const auto digits = std::to_string(kOne + rest).substr(1);
        text += "." + digits.substr(0, digits.find_last_not_of('0') + 1);
    }
    return text;
}

std::string format_count(std::uint64_t value) {
    return std::to_string(value);
}

std::string format_milliseconds(std::uint64_t value) {
    return format_duration(std::chrono::milliseconds(value));
}

bool has_control_characters(std::string_view text) {
    return std::ranges::any_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_identifier(std::string_view text) {
    constexpr std::string_view kInner = "._:/@+-";
    return !text.empty() && text.size() <= 128 && is_alnum(text.front()) &&
           text.find("..") == std::string_view::npos && std::ranges::all_of(text, [&](char c) {
               return is_alnum(c) || kInner.find(c) != std::string_view::npos;
           });
}

bool is_token(std::string_view text) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return is_alnum(c) || kMarks.find(c) != std::string_view::npos;
    });
}

bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > 253) {
        return false;
    }
    while (true) {
        const auto dot = text.find('.');
        const auto label = text.substr(0, dot);
        if (label.empty() || label.size() > 63 || !is_alnum(label.front()) ||
            !is_alnum(label.back()) ||
            !std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; })) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(dot + 1);
    }
}

}  // namespace millrace::config
