#include "gateway/commands/drain.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>

#include "gateway/commands/admin_client.hpp"
#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(500);

struct Counts {
    std::uint64_t queued = 0;
    std::uint64_t in_flight = 0;
    bool operator==(const Counts&) const = default;
};

std::string to_string(const Counts& counts) {
    return std::to_string(counts.in_flight) + " in flight, " + std::to_string(counts.queued) +
           " queued";
}

std::optional<Counts> parse_counts(const std::string& body) {
    const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
        return std::nullopt;
    }
    const auto queued = json.find("queued");
    const auto in_flight = json.find("in_flight");
    if (queued == json.end() || in_flight == json.end() || !queued->is_number_unsigned() ||
        !in_flight->is_number_unsigned()) {
        return std::nullopt;
    }
    return Counts{queued->get<std::uint64_t>(), in_flight->get<std::uint64_t>()};
}

class Drain {
public:
    Drain(const DrainOptions& options, const DrainPorts& ports, const AdminClient& gateway,
          std::ostream& out, std::ostream& err)
        : options_(options),
          ports_(ports),
          gateway_(gateway),
          out_(out),
          err_(err),
          deadline_(ports.clock->now() + options.timeout) {}

    int run() {
        auto counts = ask("POST", "/drain");
        if (!counts) {
            return kExitRuntimeFailure;
        }
        if (!options_.wait) {
            out_ << "The gateway is draining: " << to_string(*counts) << ".\n";
            return kExitClean;
        }
        return wait(*counts);
    }

private:
    int wait(Counts counts) {
        report(counts);
        while (counts.in_flight > 0 || counts.queued > 0) {
            const auto left = deadline_ - ports_.clock->now();
            if (left <= Duration::zero()) {
                err_ << "The deadline passed with " << to_string(counts) << ".\n";
                return kExitDrainDeadline;
            }
            ports_.pause(std::min<Duration>(left, kPoll));
            const auto next = ask("GET", "/status");
            if (!next) {
                return kExitRuntimeFailure;
            }
            if (*next != counts) {
                report(*next);
            }
            counts = *next;
        }
        out_ << "The gateway is drained.\n";
        return kExitClean;
    }

    void report(const Counts& counts) {
        if (options_.progress) {
            err_ << to_string(counts) << '\n';
        }
    }

    /// The counts that the gateway answered with; nullopt after saying why there are none.
    std::optional<Counts> ask(const std::string& method, const std::string& path) {
        const auto body = gateway_.ask(method, path);
        if (!body) {
            return std::nullopt;
        }
        auto counts = parse_counts(*body);
        if (!counts) {
            gateway_.complain(path);
        }
        return counts;
    }

    const DrainOptions& options_;
    const DrainPorts& ports_;
    const AdminClient& gateway_;
    std::ostream& out_;
    std::ostream& err_;
    Instant deadline_;
};

}  // namespace

int run_drain(const DrainOptions& options, const DrainPorts& ports, std::ostream& out,
              std::ostream& err) {
    const auto gateway = AdminClient::open(options.admin, options.token_file, ports.exchange, err);
    return gateway ? Drain(options, ports, *gateway, out, err).run() : kExitConfiguration;
}

int run_drain(const DrainOptions& options, std::ostream& out, std::ostream& err) {
    const SystemClock clock;
    DrainPorts ports;
    ports.clock = &clock;
    ports.pause = [](Duration time) { std::this_thread::sleep_for(time); };
    return run_drain(options, ports, out, err);
}

}  // namespace millrace::gateway
