#include "gateway/upstream/pool.hpp"

#include <algorithm>
#include <utility>

namespace millrace::gateway {

void Connection::evict(void* self) {
    auto& connection = *static_cast<Connection*>(self);
    if (connection.pool != nullptr) {
        connection.pool->evict(connection);  // destroys it
    }
}

std::unique_ptr<Connection> UpstreamPool::take(std::uint64_t generation,
                                               const TlsClientContext* tls) {
    const auto found = idle_.find(generation);
    if (found == idle_.end()) {
        return nullptr;
    }
    auto& kept = found->second;
    while (!kept.empty()) {
        std::unique_ptr<Connection> connection = std::move(kept.back());
        kept.pop_back();
        if (connection->tls.get() == tls) {
            connection->pool = nullptr;
            connection->idle.disarm();
            connection->socket.set_listener(nullptr, nullptr);
            return connection;
        }
        // Verified under settings that no longer hold: closed, not reused.
    }
    return nullptr;
}

void UpstreamPool::put(std::unique_ptr<Connection> connection, std::size_t max_idle,
                       Duration idle_timeout) {
    if (idle_.size() >= sweep_at_) {
        sweep();
    }
    auto& kept = idle_[connection->generation];
    if (kept.size() >= max_idle || connection->socket.may_read()) {
        return;
    }
    connection->pool = this;
    connection->socket.set_listener(&Connection::evict, connection.get());
    loop_.arm(connection->idle, loop_.recent() + idle_timeout);
    kept.push_back(std::move(connection));
}

/// An endpoint whose connections are all in use leaves too; it is back with the next put().
void UpstreamPool::sweep() {
    std::erase_if(idle_, [](const auto& entry) { return entry.second.empty(); });
    sweep_at_ = std::max<std::size_t>(64, idle_.size() * 2);
}

void UpstreamPool::evict(Connection& connection) {
    const auto found = idle_.find(connection.generation);
    if (found == idle_.end()) {
        return;
    }
    std::erase_if(found->second,
                  [&connection](const auto& kept) { return kept.get() == &connection; });
    if (found->second.empty()) {
        idle_.erase(found);
    }
}

std::size_t UpstreamPool::idle_connections() const {
    std::size_t count = 0;
    for (const auto& [generation, kept] : idle_) {
        count += kept.size();
    }
    return count;
}

}  // namespace millrace::gateway
