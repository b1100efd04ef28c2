// A simulator inside the test process and what its log said afterwards. Thread-safety: none.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/vllm_sim/server.hpp"
#include "tests/bench/vllm_sim/raw_client.hpp"

namespace millrace::vllm_sim {

class Simulator {
public:
    explicit Simulator(Options options = {}) {
        log_ = ::testing::TempDir() + "vllm_sim_" + std::to_string(::getpid()) + "_" +
               std::to_string(++count) + ".log";
        std::remove(log_.c_str());
        options.port = 0;
        options.log = log_;
        server_.emplace(std::move(options));
        const auto started = server_->start();
        EXPECT_TRUE(started) << (started ? "" : started.error().detail);
        port_ = started.value_or(0);
    }
    ~Simulator() { std::remove(log_.c_str()); }
    Simulator(const Simulator&) = delete;
    Simulator& operator=(const Simulator&) = delete;

    std::uint16_t port() const { return port_; }
    Server& server() { return *server_; }

    RawResponse post(std::string_view path, std::string_view body,
                     std::string_view headers = {}) const {
        RawClient client(port_);
        client.post(path, body, headers);
        return client.response();
    }
    RawResponse get(std::string_view path, std::string_view method = "GET") const {
        RawClient client(port_);
        client.get(path, method);
        return client.response();
    }
    nlohmann::json get_json(std::string_view path) const {
        return nlohmann::json::parse(get(path).body, nullptr, false);
    }

    /// Asks until `done` says yes; each round is a whole exchange, so nothing spins for long.
    template <class Done>
    bool until(std::string_view path, Done done) const {
        for (int i = 0; i < 20000; ++i) {
            if (done(get_json(path))) {
                return true;
            }
        }
        return false;
    }

    /// Stops the server and returns the lines of its log.
    std::vector<nlohmann::json> log() {
        server_->stop();
        server_->wait();
        std::vector<nlohmann::json> lines;
        std::ifstream file(log_);
        for (std::string line; std::getline(file, line);) {
            lines.push_back(nlohmann::json::parse(line));
        }
        return lines;
    }

private:
    static inline int count = 0;
    std::string log_;
    std::optional<Server> server_;
    std::uint16_t port_ = 0;
};

inline constexpr std::string_view kChat =
    R"({"model":"sim","messages":[{"role":"user","content":"hi"}]})";
inline constexpr std::string_view kChatStream =
    R"({"model":"sim","messages":[{"role":"user","content":"hi"}],"stream":true,)"
    R"("stream_options":{"include_usage":true,"continuous_usage_stats":true}})";

}  // namespace millrace::vllm_sim
