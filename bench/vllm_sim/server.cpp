#include "bench/vllm_sim/server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "bench/vllm_sim/loop.hpp"

namespace millrace::vllm_sim {

Server::Server(Options options) : shared_(std::make_unique<Shared>(std::move(options))) {}

Server::~Server() {
    stop();
    wait();
    loops_.clear();
    if (listen_fd_ >= 0) {
        ::close(listen_fd_);
    }
}

Result<std::uint16_t> Server::start() {
    auto port = listen();
    if (!port) {
        return port;
    }
    const Options& options = shared_->options;
    for (unsigned i = 0; i < options.threads; ++i) {
        RequestLog log;
        if (!options.log.empty()) {
            auto opened = RequestLog::open(options.log);
            if (!opened) {
                return std::unexpected(opened.error());
            }
            log = std::move(*opened);
        }
        const auto clock = std::chrono::steady_clock::now().time_since_epoch().count();
        const std::uint64_t seed =
            static_cast<std::uint64_t>(clock) ^ (static_cast<std::uint64_t>(::getpid()) << 32U) ^ i;
        loops_.push_back(std::make_unique<Loop>(*shared_, listen_fd_, std::move(log), seed));
        shared_->loops.push_back(&loops_.back()->stats());
    }
    for (const auto& loop : loops_) {
        threads_.emplace_back([&running = *loop] { running.run(); });
    }
    return port;
}

Result<std::uint16_t> Server::listen() {
    const Options& options = shared_->options;
    const auto fail = [&](const char* what) {
        return failure(Errc::internal, Origin::internal,
                       "Cannot " + std::string(what) + " " + options.address + ":" +
                           std::to_string(options.port) + ": " + std::strerror(errno) + ".");
    };
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    if (::inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1) {
        return failure(Errc::bad_field, Origin::policy,
                       "The address " + options.address + " is not an IPv4 address.");
    }
    listen_fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listen_fd_ < 0) {
        return fail("open a socket for");
    }
    const int one = 1;
    ::setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (::bind(listen_fd_, std::bit_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listen_fd_, SOMAXCONN) != 0) {
        return fail("listen on");
    }
    socklen_t size = sizeof address;
    ::getsockname(listen_fd_, std::bit_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

void Server::stop() {
    shared_->stopping.store(true, std::memory_order_release);
    for (const auto& loop : loops_) {
        loop->wake();
    }
}

void Server::wait() {
    for (std::thread& thread : threads_) {
        if (thread.joinable()) {
            thread.join();
        }
    }
}

}  // namespace millrace::vllm_sim
