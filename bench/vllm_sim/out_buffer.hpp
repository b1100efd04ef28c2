// Bytes on their way into one socket, addressed by their offset since the connection began, so that
// faults and logs can speak about "byte N of this response" whatever the socket accepted so far.
// Sending stops at a hold (until released) and at a cut (for ever). Thread-safety: none; one per
// connection.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace millrace::vllm_sim {

class OutBuffer {
public:
    enum class Flush : std::uint8_t { drained, blocked, held, cut, failed };

    /// Append here.
    std::string& data() { return data_; }

    std::uint64_t rendered() const { return base_ + data_.size(); }
    std::uint64_t written() const { return base_ + sent_; }
    std::size_t waiting() const { return data_.size() - sent_; }

    /// Offsets that must not be passed. A later cut never replaces an earlier one.
    void hold_at(std::uint64_t offset) { hold_ = offset; }
    void release() { hold_ = kNever; }
    bool holding() const { return hold_ != kNever; }
    void cut_at(std::uint64_t offset) { cut_ = offset < cut_ ? offset : cut_; }

    /// Sends what may be sent.
    Flush flush(int fd);

private:
    static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
    void drained();

    std::string data_;
    std::size_t sent_ = 0;    ///< of data_
    std::uint64_t base_ = 0;  ///< offset of data_[0]
    std::uint64_t hold_ = kNever;
    std::uint64_t cut_ = kNever;
};

}  // namespace millrace::vllm_sim
