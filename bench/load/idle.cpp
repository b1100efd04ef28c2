#include <memory>
#include <string>
#include <vector>

#include "bench/load/connection.hpp"
#include "bench/load/measurement.hpp"
#include "bench/load/modes.hpp"
#include "bench/load/request.hpp"

namespace millrace::load {
namespace {

/// Connects one after the other: a burst of SYNs would measure the accept queue.
class Idle final : public Handler {
public:
    explicit Idle(const Options& options)
        : options_(options), measurement_(loop_, options), request_(options, false) {
        for (std::uint32_t i = 0; i < options.idle; ++i) {
            connections_.push_back(std::make_unique<Connection>(loop_, *this, options, i));
        }
    }

    int run() {
        measurement_.begin();
        loop_.on_signal([this] { end(); });
        loop_.at(Loop::now(), [this] { next(); });
        loop_.run();
        measurement_.end();
        measurement_.set("connections", ready_);
        measurement_.set("closed_by_peer", closed_);
        return measurement_.report("idle");
    }

    void on_response(Connection& connection) override {
        if (connection.status() != 200) {
            measurement_.fail("status " + std::to_string(connection.status()));
        } else if (!connection.is_open()) {
            measurement_.fail("not kept alive");
        } else {
            ++ready_;
            ++measurement_.requests;
        }
        next();
    }

    void on_failure(Connection& /*connection*/, std::string_view why) override {
        measurement_.fail(why);
        next();
    }

    void on_idle_close(Connection& /*connection*/) override { ++closed_; }

private:
    void next() {
        if (started_ < connections_.size()) {
            Connection& connection = *connections_[started_++];
            connection.send(request_.head(0, head_), request_.body());
            return;
        }
        announce("ready");
        if (options_.hold > 0) {
            loop_.at(Loop::now() + from_seconds(options_.hold), [this] { end(); });
        }
    }

    void end() { loop_.stop(); }

    const Options& options_;
    Loop loop_;
    Measurement measurement_;
    RequestTemplate request_;
    std::string head_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::size_t started_ = 0;
    std::uint64_t ready_ = 0;
    std::uint64_t closed_ = 0;
};

}  // namespace

int run_idle(const Options& options) {
    return Idle(options).run();
}

}  // namespace millrace::load
