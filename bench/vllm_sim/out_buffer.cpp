#include "bench/vllm_sim/out_buffer.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace millrace::vllm_sim {
namespace {

constexpr std::size_t kKeep = 64U << 10U;  ///< capacity that an idle connection may keep

}  // namespace

OutBuffer::Flush OutBuffer::flush(int fd) {
    for (;;) {
        const std::uint64_t stop = std::min({rendered(), hold_, cut_});
        if (written() >= stop) {
            break;
        }
        const ssize_t sent = ::send(fd, data_.data() + sent_, stop - written(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno == EAGAIN || errno == EWOULDBLOCK ? Flush::blocked : Flush::failed;
        }
        sent_ += static_cast<std::size_t>(sent);
    }
    if (written() >= cut_) {
        return Flush::cut;
    }
    if (sent_ < data_.size()) {
        return Flush::held;
    }
    drained();
    return Flush::drained;
}

void OutBuffer::drained() {
    base_ += data_.size();
    sent_ = 0;
    data_.clear();
    if (data_.capacity() > kKeep) {
        data_.shrink_to_fit();
    }
}

}  // namespace millrace::vllm_sim
