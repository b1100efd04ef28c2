#include "bench/vllm_sim/json_scan.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

namespace millrace::vllm_sim {
namespace {

constexpr std::size_t kNone = std::string_view::npos;
constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) {
    return kSpace.contains(c);
}

/// `at` is the opening quote; returns the offset behind the closing one.
std::size_t skip_string(std::string_view json, std::size_t at) {
    std::size_t from = at + 1;
    while (from < json.size()) {
        const void* const hit = std::memchr(json.data() + from, '"', json.size() - from);
        if (hit == nullptr) {
            return kNone;
        }
        const auto quote = static_cast<std::size_t>(static_cast<const char*>(hit) - json.data());
        std::size_t slashes = 0;
        while (quote - slashes > at + 1 && json[quote - slashes - 1] == '\\') {
            ++slashes;
        }
        if (slashes % 2 == 0) {
            return quote + 1;
        }
        from = quote + 1;
    }
    return kNone;
}

std::size_t skip_container(std::string_view json, std::size_t at) {
    std::size_t depth = 0;
    while (at < json.size()) {
        const char c = json[at];
        if (c == '"') {
            at = skip_string(json, at);
            if (at == kNone) {
                return kNone;
            }
            continue;
        }
        if (c == '{' || c == '[') {
            ++depth;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at + 1;
        }
        ++at;
    }
    return kNone;
}

}  // namespace

std::size_t skip_value(std::string_view json, std::size_t at) {
    if (at >= json.size()) {
        return kNone;
    }
    if (json[at] == '"') {
        return skip_string(json, at);
    }
    if (json[at] == '{' || json[at] == '[') {
        return skip_container(json, at);
    }
    const std::size_t end = json.find_first_of(",]} \t\r\n", at);
    const std::size_t stop = end == kNone ? json.size() : end;
    return stop == at ? kNone : stop;
}

ObjectScanner::ObjectScanner(std::string_view json) : json_(json) {
    skip_space();
    if (at_ >= json_.size() || json_[at_] != '{') {
        failed_ = true;
        return;
    }
    ++at_;
}

bool ObjectScanner::fail() {
    failed_ = true;
    return false;
}

void ObjectScanner::skip_space() {
    while (at_ < json_.size() && is_space(json_[at_])) {
        ++at_;
    }
}

bool ObjectScanner::next(Member& member) {
    if (failed_ || done_) {
        return false;
    }
    skip_space();
    if (at_ < json_.size() && json_[at_] == '}') {
        ++at_;
        skip_space();
        done_ = true;
        return at_ == json_.size() ? false : fail();
    }
    if (!first_) {
        if (at_ >= json_.size() || json_[at_] != ',') {
            return fail();
        }
        ++at_;
        skip_space();
    }
    first_ = false;
    if (at_ >= json_.size() || json_[at_] != '"') {
        return fail();
    }
    const std::size_t key_end = skip_string(json_, at_);
    if (key_end == kNone) {
        return fail();
    }
    const std::string_view raw_key = json_.substr(at_, key_end - at_);
    if (raw_key.contains('\\')) {
        member.key = text_of(raw_key);
    } else {
        member.key.assign(raw_key.substr(1, raw_key.size() - 2));
    }
    at_ = key_end;
    skip_space();
    if (at_ >= json_.size() || json_[at_] != ':') {
        return fail();
    }
    ++at_;
    skip_space();
    const std::size_t end = skip_value(json_, at_);
    if (end == kNone) {
        return fail();
    }
    member.value = json_.substr(at_, end - at_);
    at_ = end;
    return true;
}

std::string_view member_of(std::string_view object, std::string_view key) {
    ObjectScanner scanner(object);
    Member member;
    while (scanner.next(member)) {
        if (member.key == key) {
            return member.value;
        }
    }
    return {};
}

std::uint32_t array_size(std::string_view raw) {
    if (raw.size() < 2 || raw.front() != '[') {
        return 0;
    }
    std::uint32_t count = 0;
    std::size_t at = 1;
    for (;;) {
        while (at < raw.size() && (is_space(raw[at]) || raw[at] == ',')) {
            ++at;
        }
        if (at >= raw.size() || raw[at] == ']') {
            return count;
        }
        at = skip_value(raw, at);
        if (at == kNone) {
            return count;
        }
        ++count;
    }
}

bool is_string(std::string_view raw) {
    return raw.size() >= 2 && raw.front() == '"';
}
bool is_true(std::string_view raw) {
    return raw == "true";
}

std::string text_of(std::string_view raw) {
    if (!is_string(raw)) {
        return {};
    }
    if (!raw.contains('\\')) {
        return std::string(raw.substr(1, raw.size() - 2));
    }
    const auto parsed = nlohmann::json::parse(raw, nullptr, false);
    return parsed.is_string() ? parsed.get<std::string>() : std::string();
}

}  // namespace millrace::vllm_sim
