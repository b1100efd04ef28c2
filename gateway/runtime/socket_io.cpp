// Moving bytes through a socket, plain or TLS, and what each call says about its readiness.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "gateway/runtime/pieces.hpp"
#include "gateway/runtime/socket.hpp"
#include "gateway/tls/session.hpp"

namespace millrace::gateway {
namespace {

IoResult from_errno(ssize_t result) {
    if (result > 0) {
        return {IoStatus::ok, static_cast<std::size_t>(result)};
    }
    if (result == 0) {
        return {IoStatus::eof, 0};
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return {IoStatus::blocked, 0};
    }
    return {IoStatus::failed, 0};
}

/// Gather writes up to this size are copied together.
constexpr std::size_t kCoalesced = 4096;

using Vectors = std::array<iovec, Socket::kMaxPieces>;

std::size_t to_iovecs(std::span<const std::string_view> pieces, Vectors& vectors) {
    std::size_t count = 0;
    for (const auto piece : pieces) {
        if (count == vectors.size()) {
            break;
        }
        if (!piece.empty()) {
            vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
        }
    }
    return count;
}

}  // namespace

IoResult Socket::read_some(char* data, std::size_t size) {
    if (tls_ != nullptr) {
        return read_tls(data, size);
    }
    const IoResult result = from_errno(::recv(descriptor_, data, size, 0));
    // A short read has emptied the socket: the next byte makes a new edge. After a hang-up there
    // will be none.
    if (result.status == IoStatus::blocked || (result.bytes < size && !hung_up_)) {
        readable_ = false;
    }
    return result;
}

IoResult Socket::read_tls(char* data, std::size_t size) {
    const Step step = tls_->read(data, size);
    read_wants_write_ = step.want == Want::write;
    if (read_wants_write_) {
        writable_ = false;
    } else if (step.want == Want::read) {
        readable_ = false;
    }
    if (step.bytes > 0) {
        return {IoStatus::ok, step.bytes};
    }
    switch (step.want) {
        case Want::closed: return {IoStatus::eof, 0};
        case Want::none:
        case Want::read:
        case Want::write: return {IoStatus::blocked, 0};
        case Want::failed: break;
    }
    return {IoStatus::failed, 0};
}

IoResult Socket::write_some(std::span<const std::string_view> pieces) {
    if (tls_ != nullptr) {
        return write_tls(pieces);
    }
    if (const std::size_t size = total_size(pieces); size <= kCoalesced) {
        return write_small(pieces, size);
    }
    [[clang::uninitialized]] Vectors vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = to_iovecs(pieces, vectors);
    if (message.msg_iovlen == 0) {
        return {IoStatus::ok, 0};
    }
    const IoResult result = from_errno(::sendmsg(descriptor_, &message, MSG_NOSIGNAL));
    if (result.status != IoStatus::ok) {
        writable_ = false;
    }
    return result.status == IoStatus::eof ? IoResult{IoStatus::blocked, 0} : result;
}

IoResult Socket::write_small(std::span<const std::string_view> pieces, std::size_t size) {
    // Copying a few kilobytes costs less than handing the kernel a list.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): filled before it is read
    [[clang::uninitialized]] std::array<char, kCoalesced> bytes;
    char* end = bytes.data();
    for (const auto piece : pieces) {
        end = std::copy(piece.begin(), piece.end(), end);
    }
    if (size == 0) {
        return {IoStatus::ok, 0};
    }
    const IoResult result = from_errno(::send(descriptor_, bytes.data(), size, MSG_NOSIGNAL));
    if (result.status != IoStatus::ok) {
        writable_ = false;
    }
    return result;
}

IoResult Socket::write_tls(std::span<const std::string_view> pieces) {
    [[clang::uninitialized]] Vectors vectors;
    const std::size_t count = to_iovecs(pieces, vectors);
    if (count == 0) {
        return {IoStatus::ok, 0};
    }
    const Step step = tls_->write(std::span(vectors.data(), count));
    write_wants_read_ = step.want == Want::read;
    if (write_wants_read_) {
        readable_ = false;
    } else if (step.want == Want::write) {
        writable_ = false;
    }
    if (step.bytes > 0) {
        return {IoStatus::ok, step.bytes};
    }
    if (step.want == Want::write || step.want == Want::read) {
        return {IoStatus::blocked, 0};
    }
    return {step.want == Want::none ? IoStatus::ok : IoStatus::failed, 0};
}

}  // namespace millrace::gateway
