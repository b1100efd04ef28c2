// Checks a stream event by event against what vllm-sim must have sent: token i of a stream is
// token_at(seed, i), so a missing, repeated, reordered or changed event cannot hide, however it
// was cut into reads and chunks. Thread-safety: none; one checker per stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::load {

/// Texts of the first `count` tokens of the simulator's default seed.
std::vector<std::string> expected_tokens(std::uint32_t count);

class EventChecker {
public:
    /// `tokens` outlives the checker.
    explicit EventChecker(const std::vector<std::string>& tokens) : tokens_(&tokens) {}

    /// A piece of the decoded body.
    void feed(std::string_view payload);
    void reset();

    std::uint64_t events() const { return events_; }  ///< everything, [DONE] included
    std::uint32_t tokens() const { return received_; }
    /// Serial numbers that were jumped over.
    std::uint32_t lost() const { return lost_; }
    /// Neither the next token nor a later one; bad framing; events after [DONE].
    std::uint32_t wrong() const { return wrong_; }
    std::uint32_t usage() const { return usage_; }  ///< events with a usage that nobody asked for
    std::uint32_t errors() const { return errors_; }

    /// All tokens and [DONE], nothing else.
    bool complete() const {
        return done_ && next_ == tokens_->size() && lost_ == 0 && wrong_ == 0 && partial_.empty();
    }

private:
    void event(std::string_view text);
    void token(std::string_view text);

    const std::vector<std::string>* tokens_;
    std::string partial_;  ///< an event whose end has not arrived
    std::uint64_t events_ = 0;
    std::uint32_t next_ = 0;  ///< serial number expected next
    std::uint32_t received_ = 0;
    std::uint32_t lost_ = 0;
    std::uint32_t wrong_ = 0;
    std::uint32_t usage_ = 0;
    std::uint32_t errors_ = 0;
    bool done_ = false;
};

}  // namespace millrace::load
