// A client on a raw blocking socket for the simulator's component tests: it sends bytes, receives
// bytes, and reads responses with its own few lines instead of the codec under test. Receiving is
// bounded in time; nothing sleeps. Thread-safety: none.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::vllm_sim {

struct RawResponse {
    std::string head;  ///< empty line included
    std::string body;  ///< decoded
    std::string wire;  ///< every byte, head included
    bool complete = false;

    int status() const { return head.size() > 12 ? std::atoi(head.c_str() + 9) : 0; }
};

class RawClient {
public:
    explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(fd_, std::bit_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~RawClient() { close(); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    bool connected() const { return connected_; }

    void close() {
        if (fd_ >= 0) {
            ::close(fd_);
            fd_ = -1;
        }
    }

    /// Ends our direction only.
    void half_close() { ::shutdown(fd_, SHUT_WR); }

    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                return;
            }
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    void post(std::string_view path, std::string_view body, std::string_view headers = {}) {
        send("POST " + std::string(path) +
             " HTTP/1.1\r\nhost: sim\r\ncontent-length: " + std::to_string(body.size()) + "\r\n" +
             std::string(headers) + "\r\n" + std::string(body));
    }

    void get(std::string_view path, std::string_view method = "GET") {
        send(std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nhost: sim\r\n\r\n");
    }

    /// More bytes into the buffer; false at the end of the stream, after a reset (reset() tells),
    /// or after `ms`.
    bool receive(int ms = 5000) {
        pollfd wait{fd_, POLLIN, 0};
        if (::poll(&wait, 1, ms) <= 0) {
            timed_out_ = true;
            return false;
        }
        char chunk[65536];
        const ssize_t got = ::recv(fd_, chunk, sizeof chunk, 0);
        reset_ = got < 0 && errno == ECONNRESET;
        ended_ = got <= 0;
        if (got <= 0) {
            return false;
        }
        buffer_.append(chunk, static_cast<std::size_t>(got));
        return true;
    }

    /// One response by its framing; incomplete if the connection ends first.
    RawResponse response() {
        RawResponse result;
        std::size_t head_end = 0;
        while ((head_end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!receive()) {
                result.wire = std::exchange(buffer_, {});
                return result;
            }
        }
        result.head = buffer_.substr(0, head_end + 4);
        std::size_t at = head_end + 4;
        if (result.status() / 100 == 1) {
            result.complete = true;  // interim: never a body
        } else if (result.head.contains("transfer-encoding: chunked")) {
            result.complete = read_chunks(at, result.body);
        } else if (const std::size_t field = result.head.find("content-length: ");
                   field != std::string::npos) {
            const auto size =
                static_cast<std::size_t>(std::atoll(result.head.c_str() + field + 16));
            result.complete = fill(at + size);
            result.body = buffer_.substr(at, size);
            at = std::min(buffer_.size(), at + size);
        } else {
            while (receive()) {
            }
            result.complete = ended_ && !reset_;
            result.body = buffer_.substr(at);
            at = buffer_.size();
        }
        result.wire = buffer_.substr(0, at);
        buffer_.erase(0, at);
        return result;
    }

    /// Everything until the connection ends.
    std::string rest() {
        while (receive()) {
        }
        return std::exchange(buffer_, {});
    }

    const std::string& buffered() const { return buffer_; }
    bool reset() const { return reset_; }
    bool ended() const { return ended_; }
    bool timed_out() const { return timed_out_; }

private:
    bool fill(std::size_t size) {
        while (buffer_.size() < size) {
            if (!receive()) {
                return false;
            }
        }
        return true;
    }

    bool read_chunks(std::size_t& at, std::string& body) {
        for (;;) {
            std::size_t line_end = 0;
            while ((line_end = buffer_.find("\r\n", at)) == std::string::npos) {
                if (!receive()) {
                    at = buffer_.size();
                    return false;
                }
            }
            char* end = nullptr;
            const std::size_t size = std::strtoull(buffer_.c_str() + at, &end, 16);
            if (end != buffer_.c_str() + line_end) {
                at = buffer_.size();
                return false;  // not a chunk size
            }
            at = line_end + 2;
            if (!fill(at + size + 2)) {
                body += buffer_.substr(at);
                at = buffer_.size();
                return false;
            }
            body += buffer_.substr(at, size);
            at += size + 2;
            if (size == 0) {
                return true;
            }
        }
    }

    int fd_;
    std::string buffer_;
    bool connected_ = false;
    bool reset_ = false;
    bool ended_ = false;
    bool timed_out_ = false;
};

}  // namespace millrace::vllm_sim
