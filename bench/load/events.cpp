#include "bench/load/events.hpp"

#include <charconv>

#include "bench/vllm_sim/tokens.hpp"

namespace millrace::load {
namespace {

constexpr std::uint64_t kDefaultSeed = 1;
constexpr std::string_view kEnd = "\n\n";
constexpr std::string_view kData = "data: ";
constexpr std::string_view kContent = R"("content":")";

/// The digits behind the syllables ("kalo17 " is 17), or nothing sensible: -1.
std::int64_t serial_of(std::string_view token) {
    const std::size_t digits = token.find_first_of("0123456789");
    std::int64_t serial = -1;
    if (digits != std::string_view::npos) {
        std::from_chars(token.data() + digits, token.data() + token.size(), serial);
    }
    return serial;
}

}  // namespace

std::vector<std::string> expected_tokens(std::uint32_t count) {
    std::vector<std::string> tokens;
    tokens.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        tokens.push_back(vllm_sim::token_at(kDefaultSeed, i));
    }
    return tokens;
}

void EventChecker::reset() {
    partial_.clear();
    events_ = 0;
    next_ = received_ = lost_ = wrong_ = usage_ = errors_ = 0;
    done_ = false;
}

void EventChecker::feed(std::string_view payload) {
    std::string joined;
    if (!partial_.empty()) {
        joined = std::move(partial_);
        joined += payload;
        partial_.clear();
        payload = joined;
    }
    for (std::size_t end = payload.find(kEnd); end != std::string_view::npos;
         end = payload.find(kEnd)) {
        event(payload.substr(0, end));
        payload.remove_prefix(end + kEnd.size());
    }
    partial_.assign(payload);
}

void EventChecker::event(std::string_view text) {
    ++events_;
    if (done_ || !text.starts_with(kData)) {
        ++wrong_;
        return;
    }
    text.remove_prefix(kData.size());
    if (text == "[DONE]") {
        done_ = true;
        return;
    }
    if (text.starts_with(R"({"error")")) {
        ++errors_;
        return;
    }
    if (text.find(R"("usage":)") != std::string_view::npos) {
        ++usage_;
    }
    const std::size_t content = text.find(kContent);
    if (content == std::string_view::npos) {
        return;
    }
    text.remove_prefix(content + kContent.size());
    text = text.substr(0, text.find('"'));
    if (!text.empty()) {  // the first event names the role and is empty
        token(text);
    }
}

void EventChecker::token(std::string_view text) {
    if (next_ < tokens_->size() && text == (*tokens_)[next_]) {
        ++next_;
        ++received_;
        return;
    }
    const std::int64_t serial = serial_of(text);
    if (serial > next_ && serial < static_cast<std::int64_t>(tokens_->size()) &&
        text == (*tokens_)[static_cast<std::size_t>(serial)]) {
        lost_ += static_cast<std::uint32_t>(serial) - next_;
        next_ = static_cast<std::uint32_t>(serial) + 1;
        ++received_;
        return;
    }
    ++wrong_;
}

}  // namespace millrace::load
