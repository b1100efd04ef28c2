#include <memory>
#include <string>
#include <vector>

#include "bench/load/connection.hpp"
#include "bench/load/events.hpp"
#include "bench/load/measurement.hpp"
#include "bench/load/modes.hpp"
#include "bench/load/record.hpp"
#include "bench/load/request.hpp"

namespace millrace::load {
namespace {

class Streams final : public Handler {
public:
    explicit Streams(const Options& options)
        : options_(options),
          measurement_(loop_, options),
          request_(options, true),
          tokens_(expected_tokens(options.tokens)),
          record_(options.record) {
        for (std::uint32_t i = 0; i < options.streams; ++i) {
            slots_.emplace_back(tokens_);
            connections_.push_back(std::make_unique<Connection>(loop_, *this, options, i));
        }
    }

    int run() {
        start();
        loop_.run();
        measurement_.end();
        measurement_.fail("not finished in time", outstanding_);
        measurement_.fail("tokens lost", lost_);
        measurement_.fail("wrong events", wrong_);
        measurement_.fail("usage nobody asked for", usage_);
        measurement_.set("streams", options_.streams);
        measurement_.set("streams_completed", completed_);
        measurement_.set("tokens_received", received_);
        measurement_.set("tokens_lost", lost_);
        measurement_.set("merged_in_read", merged_in_read_);
        measurement_.set("merged_in_chunk", merged_in_chunk_);
        return measurement_.report("streams");
    }

    void on_body(Connection& connection, std::string_view piece) override {
        Slot& slot = slots_[connection.index()];
        const std::uint32_t before = slot.checker.tokens();
        const std::uint64_t events = slot.checker.events();
        slot.checker.feed(piece);
        const std::uint32_t tokens = slot.checker.tokens() - before;
        merged_in_chunk_ += tokens > 1 ? tokens - 1 : 0;
        slot.tokens_in_read += tokens;
        if (measurement_.is_open()) {
            measurement_.events += slot.checker.events() - events;
        }
    }

    void on_read(Connection& connection) override {
        Slot& slot = slots_[connection.index()];
        if (slot.tokens_in_read == 0) {
            return;
        }
        merged_in_read_ += slot.tokens_in_read - 1;
        const Instant now = Loop::now();
        if (slot.checker.tokens() == slot.tokens_in_read) {
            first_token(slot, now);
        } else if (measurement_.is_open()) {
            measurement_.gap.record(now - slot.last_token);
        }
        slot.last_token = now;
        slot.tokens_in_read = 0;
    }

    void on_response(Connection& connection) override {
        const Slot& slot = slots_[connection.index()];
        if (connection.status() != 200) {
            measurement_.fail("status " + std::to_string(connection.status()));
        } else if (slot.checker.errors() > 0) {
            measurement_.fail("error event");
        } else if (!slot.checker.complete()) {
            measurement_.fail("stream not complete");
        } else {
            ++completed_;
            measurement_.requests += measurement_.is_open() ? 1 : 0;
        }
        finish(connection, "end");
    }

    void on_failure(Connection& connection, std::string_view why) override {
        measurement_.fail(why);
        finish(connection, "failed");
    }

private:
    struct Slot {
        explicit Slot(const std::vector<std::string>& tokens) : checker(tokens) {}
        EventChecker checker;
        std::uint64_t serial = 0;
        Instant sent;
        Instant last_token;
        std::uint32_t tokens_in_read = 0;
        bool sent_in_window = false;
        bool seen = false;  ///< has had a token in its first stream
        std::string head;
    };

    void start() {
        if (options_.once) {
            measurement_.begin();
            // The slowest stream takes its own length; the rest of the time is the timeout.
            const double length =
                options_.ttft_ms / 1000 + options_.tokens * options_.inter_token_ms / 1000;
            loop_.at(Loop::now() + from_seconds(options_.warmup + length + options_.timeout),
                     [this] { loop_.stop(); });
        } else {
            measurement_.schedule([this] { end(); });
        }
        // Spread over the warm-up, so that streams are out of step as real ones are.
        for (std::uint32_t i = 0; i < options_.streams; ++i) {
            const double share = static_cast<double>(i) / options_.streams;
            loop_.at(Loop::now() + from_seconds(options_.warmup * share),
                     [this, i] { send(*connections_[i]); });
        }
    }

    void send(Connection& connection) {
        if (ended_) {
            return;
        }
        Slot& slot = slots_[connection.index()];
        slot.checker.reset();
        slot.tokens_in_read = 0;
        slot.serial = sent_++;
        ++outstanding_;
        slot.sent_in_window = measurement_.is_open();
        slot.sent = Loop::now();
        connection.send(request_.head(slot.serial, slot.head), request_.body());
    }

    void first_token(Slot& slot, Instant now) {
        if (measurement_.is_open() && slot.sent_in_window) {
            measurement_.first_token.record(now - slot.sent);
        }
        if (!slot.seen) {
            slot.seen = true;
            if (++live_ == options_.streams) {
                announce("ready");
            }
        }
    }

    void finish(const Connection& connection, std::string_view how) {
        Slot& slot = slots_[connection.index()];
        const EventChecker& checker = slot.checker;
        --outstanding_;
        received_ += checker.tokens();
        lost_ += checker.lost();
        wrong_ += checker.wrong();
        usage_ += checker.usage();
        record_.add(request_.id(slot.serial), connection.status(), checker.tokens(), how);
        if (!ended_ && !options_.once) {
            // By the timer, so that a peer that refuses everything cannot recurse.
            loop_.at(Loop::now(), [this, i = connection.index()] { send(*connections_[i]); });
        } else if (outstanding_ == 0 && (ended_ || sent_ == options_.streams)) {
            loop_.stop();
        }
    }

    void end() {
        ended_ = true;
        if (outstanding_ == 0) {
            loop_.stop();
        }
    }

    const Options& options_;
    Loop loop_;
    Measurement measurement_;
    RequestTemplate request_;
    std::vector<std::string> tokens_;
    Record record_;
    std::vector<Slot> slots_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::uint64_t sent_ = 0;
    std::uint64_t outstanding_ = 0;
    std::uint64_t completed_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t wrong_ = 0;
    std::uint64_t usage_ = 0;
    std::uint64_t merged_in_read_ = 0;
    std::uint64_t merged_in_chunk_ = 0;
    std::uint32_t live_ = 0;
    bool ended_ = false;
};

}  // namespace

int run_streams(const Options& options) {
    return Streams(options).run();
}

}  // namespace millrace::load
