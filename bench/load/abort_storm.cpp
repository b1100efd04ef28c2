#include <memory>
#include <random>
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

class AbortStorm final : public Handler {
public:
    explicit AbortStorm(const Options& options)
        : options_(options),
          measurement_(loop_, options),
          request_(options, true),
          tokens_(expected_tokens(options.tokens)),
          random_(options.seed),
          record_(options.record) {
        for (std::uint32_t i = 0; i < options.connections; ++i) {
            slots_.emplace_back(tokens_);
            connections_.push_back(std::make_unique<Connection>(loop_, *this, options, i));
        }
    }

    int run() {
        measurement_.begin();
        for (const auto& connection : connections_) {
            next(*connection);
        }
        loop_.run();
        measurement_.end();
        measurement_.fail("not ended in time", live_);
        measurement_.fail("tokens lost", lost_);
        measurement_.fail("wrong events", wrong_);
        measurement_.set("aborted", aborted_);
        measurement_.set("aborted_before_head", before_head_);
        measurement_.set("completed", completed_);
        measurement_.set("tokens_received", received_);
        return measurement_.report("abort");
    }

    void on_body(Connection& connection, std::string_view piece) override {
        slots_[connection.index()].checker.feed(piece);
    }

    void on_response(Connection& connection) override {
        if (connection.status() != 200) {
            measurement_.fail("status " + std::to_string(connection.status()));
        } else if (!slots_[connection.index()].checker.complete()) {
            measurement_.fail("stream not complete");
        } else {
            ++completed_;
        }
        finish(connection, "completed");
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
        std::string head;
    };

    void next(Connection& connection) {
        if (sent_ == options_.requests) {
            if (live_ == 0) {
                loop_.stop();
            }
            return;
        }
        Slot& slot = slots_[connection.index()];
        slot.checker.reset();
        slot.serial = sent_++;
        ++live_;
        connection.send(request_.head(slot.serial, slot.head), request_.body());
        std::uniform_real_distribution<double> until(0, options_.abort_after_ms / 1000);
        loop_.at(Loop::now() + from_seconds(until(random_)),
                 [this, &connection, serial = slot.serial] { abort(connection, serial); });
    }

    /// Nothing to do when the stream ended by itself and the slot carries another one.
    void abort(Connection& connection, std::uint64_t serial) {
        if (slots_[connection.index()].serial != serial || finished_ == options_.requests) {
            return;
        }
        ++aborted_;
        before_head_ += connection.status() == 0 ? 1 : 0;
        finish(connection, serial % 2 == 0 ? "fin" : "rst");
    }

    void finish(Connection& connection, std::string_view how) {
        Slot& slot = slots_[connection.index()];
        --live_;
        ++finished_;
        ++measurement_.requests;
        received_ += slot.checker.tokens();
        lost_ += slot.checker.lost();
        wrong_ += slot.checker.wrong();
        record_.add(request_.id(slot.serial), connection.status(), slot.checker.tokens(), how);
        if (how == "rst") {
            connection.reset();
        } else {
            connection.close();
        }
        slot.serial = kNone;
        loop_.at(Loop::now(), [this, &connection] { next(connection); });
    }

    static constexpr std::uint64_t kNone = ~std::uint64_t{0};

    const Options& options_;
    Loop loop_;
    Measurement measurement_;
    RequestTemplate request_;
    std::vector<std::string> tokens_;
    std::mt19937_64 random_;
    Record record_;
    std::vector<Slot> slots_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::uint64_t sent_ = 0;
    std::uint64_t live_ = 0;
    std::uint64_t finished_ = 0;
    std::uint64_t aborted_ = 0;
    std::uint64_t before_head_ = 0;
    std::uint64_t completed_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t wrong_ = 0;
};

}  // namespace

int run_abort_storm(const Options& options) {
    return AbortStorm(options).run();
}

}  // namespace millrace::load
