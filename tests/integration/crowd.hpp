// Many clients at once, and what must hold for each of them and for the gateway once they are
// gone, whatever broke meanwhile. Thread-safety: plain functions; gtest expectations may fail on
// any thread.
#pragma once

#include <atomic>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/oracle.hpp"
#include "tests/support/process_stats.hpp"

namespace millrace::test {

/// MILLRACE_LONG multiplies how long or how often the tests that take it do what they do.
inline unsigned long_factor() {
    const char* given = std::getenv("MILLRACE_LONG");
    return given != nullptr ? static_cast<unsigned>(std::max(1UL, std::stoul(given))) : 1;
}

/// A chat request that ends its connection with its answer.
inline std::string last_request(const std::string& id, const nlohmann::json& body,
                                Headers headers = {}) {
    headers.emplace_back("x-request-id", id);
    headers.emplace_back("connection", "close");
    return post(kChat, body, std::move(headers));
}

/// The answer to last_request(): there is one, and nothing behind it.
inline Message only_answer(RawClient& client, const std::string& id) {
    auto answer = client.read_final_response(30s);
    EXPECT_TRUE(answer) << id << " got no answer";
    EXPECT_EQ(client.read_to_end(), "") << id << " got more than one answer";
    EXPECT_NE(client.last_outcome(), ReadOutcome::timeout) << id << " was left hanging";
    return std::move(answer).value_or(Message{});
}

/// What a client may see of an answer that was cut.
inline void expect_not_whole(const Message& answer, const std::string& where) {
    if (answer.status() >= 500) {
        EXPECT_TRUE(answer.complete && !answer.error_code().empty()) << where << answer.raw;
        return;
    }
    const auto verdict = judge_stream(answer.body);
    EXPECT_EQ(answer.status(), 200) << where << answer.raw;
    EXPECT_FALSE(answer.complete) << where << "the cut looks like an end: " << answer.body;
    EXPECT_TRUE(verdict.error || verdict.done) << where << "no error event: " << answer.body;
}

/// Clients that each ask the same again and again until told to stop.
class Load {
public:
    using Judge = std::function<void(const ClientLine& line, const Message& answer)>;

    /// `judge` runs on the clients' threads, one call at a time.
    Load(std::uint16_t port, unsigned threads, Headers headers, Judge judge)
        : port_(port), headers_(std::move(headers)), judge_(std::move(judge)) {
        for (unsigned i = 0; i < threads; ++i) {
            clients_.emplace_back([this, i] { run(i); });
        }
    }
    ~Load() { stop(); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void stop() {
        stop_ = true;
        for (auto& client : clients_) {
            client.join();
        }
        clients_.clear();
    }
    std::size_t answers() const { return answers_; }

private:
    void run(unsigned thread) {
        for (unsigned i = 0; !stop_; ++i) {
            const auto id = "load-" + std::to_string(thread) + '-' + std::to_string(i);
            const bool stream = (thread + i) % 2 == 0;
            RawClient client(port_);
            client.send(last_request(id, chat("m1", stream), headers_));
            const auto answer = only_answer(client, id);
            ++answers_;
            const std::lock_guard lock(mutex_);
            judge_(client_line(id, answer, stream), answer);
        }
    }

    std::uint16_t port_;
    Headers headers_;
    Judge judge_;
    std::mutex mutex_;
    std::atomic<bool> stop_{false};
    std::atomic<std::size_t> answers_{0};
    std::vector<std::thread> clients_;
};

/// A whole answer without any error.
inline bool is_good(const ClientLine& line) {
    return line.status == 200 && line.complete && !line.error && (line.done || !line.stream);
}

/// Nothing is left of the requests that are over: no gauge, no byte, no connection.
inline void expect_settled(const GatewayProcess& gateway) {
    EXPECT_TRUE(gateway.quiet(2s * kSlowdown));
    for (const auto* gauge : {"millrace_buffered_bytes", "millrace_connections"}) {
        EXPECT_TRUE(eventually([&] { return gateway.metrics().sum(gauge) == 0; }, 3s * kSlowdown))
            << gauge << " is " << gateway.metrics().sum(gauge);
    }
    for (const auto& sample : gateway.metrics().samples()) {
        EXPECT_GE(sample.value, 0) << sample.name;
    }
    EXPECT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_requests_total") ==
               static_cast<double>(gateway.access_log().size());
    })) << "requests were not accounted for exactly once";
}

/// Request ids that a backend has seen more than once.
inline std::set<std::string> repeated(const std::vector<std::string>& ids) {
    std::set<std::string> seen;
    std::set<std::string> twice;
    for (const auto& id : ids) {
        if (!seen.insert(id).second) {
            twice.insert(id);
        }
    }
    return twice;
}

inline std::vector<std::string> ids_of(const std::vector<Message>& requests) {
    std::vector<std::string> ids;
    for (const auto& request : requests) {
        ids.push_back(request.header("x-request-id"));
    }
    return ids;
}

/// Takes these endpoints of pool `p` out of rotation, or back into it.
inline void set_draining(const GatewayProcess& gateway, const std::vector<std::string>& urls,
                         bool draining) {
    for (const auto& url : urls) {
        const std::string what = draining ? "/drain" : "/undrain";
        EXPECT_EQ(gateway.admin("POST", what + "?backend=p&endpoint=" + url).status(), 200) << url;
    }
}

/// A document with model m1 on one pool `p` of these endpoints.
inline std::string one_pool(const std::vector<std::string>& urls,
                            std::string_view backend_extra = {},
                            std::string_view model_extra = {}) {
    std::string list;
    for (const auto& url : urls) {
        list += (list.empty() ? "\"" : ", \"") + url + '"';
    }
    std::string text = "models: [{id: m1, variants: [{name: s, backend: p}]";
    text.append(model_extra.empty() ? "" : ", ").append(model_extra);
    text += "}]\nbackends: {p: {endpoints: {static: [" + list + "]}";
    text.append(backend_extra.empty() ? "" : ", ").append(backend_extra);
    return text + "}}\n";
}

}  // namespace millrace::test
