// Closed and open loop share everything but the reason to send.
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/connection.hpp"
#include "bench/load/measurement.hpp"
#include "bench/load/modes.hpp"
#include "bench/load/request.hpp"

namespace millrace::load {
namespace {

class Requests : public Handler {
public:
    explicit Requests(const Options& options)
        : options_(options), measurement_(loop_, options), request_(options, false) {
        slots_.resize(options.connections);
        for (std::uint32_t i = 0; i < options.connections; ++i) {
            connections_.push_back(std::make_unique<Connection>(loop_, *this, options, i));
        }
    }
    virtual ~Requests() = default;
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;

    int run(std::string_view mode) {
        start();
        loop_.run();
        measurement_.end();
        measurement_.fail("not answered in time", outstanding_);
        std::uint64_t opened = 0;
        for (const auto& connection : connections_) {
            opened += connection->opened();
        }
        measurement_.set("connects", opened);
        return measurement_.report(mode);
    }

    void on_response(Connection& connection) final {
        --outstanding_;
        if (connection.status() != 200) {
            measurement_.fail("status " + std::to_string(connection.status()));
        } else if (measurement_.is_open()) {
            ++measurement_.requests;
            measurement_.latency.record(Loop::now() - slots_[connection.index()].due);
        }
        next(connection);
    }

    void on_failure(Connection& connection, std::string_view why) final {
        --outstanding_;
        measurement_.fail(why);
        if (measurement_.failures() >= kGiveUp) {
            loop_.stop();
            return;
        }
        next(connection);
    }

protected:
    virtual void start() = 0;
    /// The connection is free.
    virtual void next(Connection& connection) = 0;

    /// Latency counts from `due`.
    void send(Connection& connection, Instant due) {
        Slot& slot = slots_[connection.index()];
        slot.due = due;
        ++outstanding_;
        connection.send(request_.head(sent_++, slot.head), request_.body());
    }

    const Options& options_;
    Loop loop_;
    Measurement measurement_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::uint64_t sent_ = 0;
    std::uint64_t outstanding_ = 0;

private:
    static constexpr std::uint64_t kGiveUp = 1000;  ///< the window is worthless long before

    struct Slot {
        Instant due;
        std::string head;
    };

    RequestTemplate request_;
    std::vector<Slot> slots_;
};

class ClosedLoop final : public Requests {
public:
    using Requests::Requests;

private:
    void start() override {
        if (options_.requests > 0) {
            measurement_.begin();
        } else {
            measurement_.schedule([this] { end(); });
        }
        for (const auto& connection : connections_) {
            next(*connection);
        }
    }

    void next(Connection& connection) override {
        if (!ended_ && (options_.requests == 0 || sent_ < options_.requests)) {
            send(connection, Loop::now());
        } else {
            end();
        }
    }

    void end() {
        ended_ = true;
        if (outstanding_ == 0) {
            loop_.stop();
        }
    }

    bool ended_ = false;
};

class OpenLoop final : public Requests {
public:
    using Requests::Requests;

private:
    void start() override {
        // Every connection is opened and used once before the clock starts.
        for (const auto& connection : connections_) {
            send(*connection, Loop::now());
        }
    }

    void next(Connection& connection) override {
        free_.push_back(&connection);
        if (!started_ && outstanding_ == 0) {
            started_ = true;
            measurement_.schedule([this] { end(); });
            due_ = Loop::now();
            tick();
        } else if (started_) {
            dispatch();
        }
    }

    void tick() {
        while (!ended_ && due_ <= Loop::now()) {
            waiting_.push_back(due_);
            due_ += from_seconds(1 / options_.rate);
            dispatch();
        }
        if (!ended_) {
            loop_.at(due_, [this] { tick(); });
        }
    }

    void dispatch() {
        while (!waiting_.empty() && !free_.empty()) {
            const Instant due = waiting_.front();
            waiting_.pop_front();
            Connection& connection = *free_.front();
            free_.pop_front();
            send(connection, due);
        }
        if (ended_ && waiting_.empty() && outstanding_ == 0) {
            loop_.stop();
        }
    }

    void end() {
        ended_ = true;
        dispatch();
    }

    std::deque<Connection*> free_;  ///< oldest first, so that all of them are used
    std::deque<Instant> waiting_;   ///< due, but no connection was free
    Instant due_;
    bool started_ = false;
    bool ended_ = false;
};

}  // namespace

int run_requests(const Options& options) {
    if (options.mode == Mode::open) {
        return OpenLoop(options).run("open");
    }
    return ClosedLoop(options).run("closed");
}

}  // namespace millrace::load
