#include "gateway/commands/drain.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>

#include "gateway/adapters/file_reader.hpp"
#include "gateway/commands/exit_code.hpp"

namespace millrace::gateway {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(500);
constexpr auto kExchangeTimeout = std::chrono::seconds(10);

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

/// The message of an error body, or the body itself, shortened.
std::string reason_of(const HttpAnswer& answer) {
    const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("error") && json["error"].is_object() &&
        json["error"].contains("message") && json["error"]["message"].is_string()) {
        return json["error"]["message"].get<std::string>();
    }
    return answer.body.substr(0, 200);
}

class Drain {
public:
    Drain(const DrainOptions& options, const DrainPorts& ports, std::ostream& out,
          std::ostream& err)
        : options_(options),
          ports_(ports),
          out_(out),
          err_(err),
          deadline_(ports.clock->now() + options.timeout) {}

    int run() {
        if (!options_.token_file.empty()) {
            auto token = read_secret_file(options_.token_file);
            if (!token) {
                err_ << token.error().detail << '\n';
                return kExitConfiguration;
            }
            token_ = std::move(*token);
        }
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
        HttpRequest request;
        request.method = method;
        request.url = options_.admin.substr(0, options_.admin.find_last_not_of('/') + 1) + path;
        request.timeout = kExchangeTimeout;
        if (!token_.empty()) {
            request.headers.emplace_back("Authorization", "Bearer " + token_);
        }
        const auto answer = ports_.exchange(request);
        if (!answer) {
            err_ << answer.error().detail << '\n';
            return std::nullopt;
        }
        if (answer->status != 200) {
            err_ << request.method << ' ' << request.url << " was refused with " << answer->status
                 << ": " << reason_of(*answer) << '\n';
            return std::nullopt;
        }
        auto counts = parse_counts(answer->body);
        if (!counts) {
            err_ << request.url
                 << " did not answer like a Millrace admin listener; check --admin.\n";
        }
        return counts;
    }

    const DrainOptions& options_;
    const DrainPorts& ports_;
    std::ostream& out_;
    std::ostream& err_;
    Instant deadline_;
    std::string token_;
};

}  // namespace

int run_drain(const DrainOptions& options, const DrainPorts& ports, std::ostream& out,
              std::ostream& err) {
    if (const auto url = parse_http_url(options.admin); !url) {
        err << url.error().detail << '\n';
        return kExitConfiguration;
    }
    return Drain(options, ports, out, err).run();
}

int run_drain(const DrainOptions& options, std::ostream& out, std::ostream& err) {
    const SystemClock clock;
    DrainPorts ports;
    ports.clock = &clock;
    ports.pause = [](Duration time) { std::this_thread::sleep_for(time); };
    return run_drain(options, ports, out, err);
}

}  // namespace millrace::gateway
