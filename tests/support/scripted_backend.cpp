#include "tests/support/scripted_backend.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace millrace::test {

BackendConnection::BackendConnection(ScriptedBackend& owner, Fd socket, std::size_t index)
    : owner_(owner), socket_(std::move(socket)), index_(index) {}

std::optional<Message> BackendConnection::read_request(Millis limit) {
    const Deadline deadline(limit);
    while (!owner_.stopping()) {
        if (auto message = reader_.next()) {
            message->connection = index_;
            const std::lock_guard lock(owner_.mutex_);
            owner_.requests_.push_back(*message);
            owner_.changed_.notify_all();
            return message;
        }
        std::string bytes;
        if (!socket_ || read_some(socket_, bytes, deadline) != ReadOutcome::data) {
            return std::nullopt;
        }
        reader_.feed(bytes);
        const std::lock_guard lock(owner_.mutex_);
        owner_.received_ += bytes;
    }
    return std::nullopt;
}

bool BackendConnection::send(std::string_view bytes, Millis limit) {
    return socket_ && write_all(socket_, bytes, Deadline(limit));
}

bool BackendConnection::wait_until_gone(Millis limit) {
    const Deadline deadline(limit);
    for (;;) {
        std::string bytes;
        const auto outcome = socket_ ? read_some(socket_, bytes, deadline) : ReadOutcome::timeout;
        if (outcome == ReadOutcome::data) {
            reader_.feed(bytes);
            continue;
        }
        if (outcome == ReadOutcome::timeout) {
            return false;
        }
        const std::lock_guard lock(owner_.mutex_);
        owner_.gone_at_ = std::chrono::steady_clock::now();
        ++owner_.gone_;
        owner_.changed_.notify_all();
        return true;
    }
}

bool BackendConnection::wait_for(const std::string& name, Millis limit) {
    std::unique_lock lock(owner_.mutex_);
    return owner_.changed_.wait_for(lock, limit, [&] {
        return owner_.stopping_ || owner_.released_.contains(name);
    }) && !owner_.stopping_;
}

void BackendConnection::reset() {
    // Under the lock, so that the backend never shuts a descriptor that has become somebody else's.
    const std::lock_guard lock(owner_.mutex_);
    owner_.open_[index_] = -1;
    reset_connection(socket_);
}

void BackendConnection::close() {
    const std::lock_guard lock(owner_.mutex_);
    owner_.open_[index_] = -1;
    socket_.reset();
}

ScriptedBackend::ScriptedBackend(Script script, const std::string& address)
    : script_(std::move(script)),
      address_(address),
      listener_(listen_on(0, 1024, address)),
      port_(local_port(listener_)) {
    acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedBackend::~ScriptedBackend() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        ::shutdown(listener_.get(), SHUT_RDWR);
        for (const auto& [index, fd] : open_) {
            if (fd >= 0) {
                ::shutdown(fd, SHUT_RDWR);
            }
        }
        changed_.notify_all();
    }
    acceptor_.join();
    for (auto& thread : threads_) {
        thread.join();
    }
}

ScriptedBackend::Script ScriptedBackend::answering(
    std::function<std::string(const Message&)> answer) {
    return [answer = std::move(answer)](BackendConnection& connection) {
        while (const auto request = connection.read_request()) {
            if (!connection.send(answer(*request))) {
                return;
            }
        }
    };
}

ScriptedBackend::Script ScriptedBackend::always(std::string response_bytes) {
    return answering([bytes = std::move(response_bytes)](const Message&) { return bytes; });
}

ScriptedBackend::Script ScriptedBackend::once_then_close(std::string bytes) {
    return [bytes = std::move(bytes)](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.send(bytes);
        }
    };
}

void ScriptedBackend::script(std::size_t connection, Script script) {
    const std::lock_guard lock(mutex_);
    scripts_[connection] = std::move(script);
}

void ScriptedBackend::accept_loop() {
    for (;;) {
        Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const std::lock_guard lock(mutex_);
        if (stopping_ || !accepting_) {
            return;
        }
        if (!socket) {
            continue;
        }
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        const std::size_t index = connections_++;
        open_[index] = socket.get();
        changed_.notify_all();
        threads_.emplace_back(
            [this, index, owned = std::move(socket)]() mutable { play(index, std::move(owned)); });
    }
}

void ScriptedBackend::play(std::size_t index, Fd socket) {
    BackendConnection connection(*this, std::move(socket), index);
    Script script;
    {
        const std::lock_guard lock(mutex_);
        const auto own = scripts_.find(index);
        script = own == scripts_.end() ? script_ : own->second;
    }
    script(connection);
    connection.close();
    const std::lock_guard lock(mutex_);
    open_.erase(index);
    changed_.notify_all();
}

std::vector<Message> ScriptedBackend::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

std::size_t ScriptedBackend::request_count() const {
    const std::lock_guard lock(mutex_);
    return requests_.size();
}

bool ScriptedBackend::wait_for_requests(std::size_t count, Millis limit) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return requests_.size() >= count; });
}

std::size_t ScriptedBackend::connections() const {
    const std::lock_guard lock(mutex_);
    return connections_;
}

std::size_t ScriptedBackend::open_connections() const {
    const std::lock_guard lock(mutex_);
    return open_.size();
}

std::optional<std::chrono::steady_clock::time_point> ScriptedBackend::gone_at() const {
    const std::lock_guard lock(mutex_);
    return gone_at_;
}

std::size_t ScriptedBackend::gone_count() const {
    const std::lock_guard lock(mutex_);
    return gone_;
}

std::string ScriptedBackend::received() const {
    const std::lock_guard lock(mutex_);
    return received_;
}

void ScriptedBackend::release(const std::string& name) {
    const std::lock_guard lock(mutex_);
    released_[name] = true;
    changed_.notify_all();
}

void ScriptedBackend::stop_accepting() {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
    ::shutdown(listener_.get(), SHUT_RDWR);
}

bool ScriptedBackend::stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
}

}  // namespace millrace::test
