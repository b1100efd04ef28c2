// The real binary on free ports with a generated configuration: started, waited for, signalled,
// read and ended.
//
// The test gives the document without `listeners`, `logging` and `process`; those are added here,
// with an access log in the process's own directory, and `overload` where the test has none. Only
// its own pid is ever signalled. Thread-safety: const members may be called from any thread; the
// others belong to the test.
#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/metrics_text.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::test {

struct GatewayOptions {
    std::string document{};  ///< YAML: models, backends, and what else the test is about
    /// More keys of listeners.data in flow style, e.g. `max_connections: 4`.
    std::string data_listener{};
    std::string admin_listener{};  ///< the same for listeners.admin
    std::string logging{};         ///< the same for logging
    unsigned workers = 2;
    bool wait_until_ready = true;
    /// Name and contents, beside the document.
    std::vector<std::pair<std::string, std::string>> files{};
    std::vector<std::pair<std::string, std::string>> environment{};
};

class GatewayProcess {
public:
    /// Throws std::runtime_error with the gateway's stderr when it does not become ready.
    explicit GatewayProcess(GatewayOptions options);

    std::uint16_t port() const { return data_port_; }
    std::uint16_t metrics_port() const { return metrics_port_; }
    std::uint16_t admin_port() const { return admin_port_; }
    pid_t pid() const { return process_->pid(); }
    const std::filesystem::path& directory() const { return directory_.path(); }

    /// Replaces the document on disk (the file watch may see it; reload() does not rely on that).
    void write_document(std::string_view document);
    /// Writes a file beside the document.
    std::string write(std::string_view name, std::string_view contents) const {
        return directory_.write(name, contents);
    }
    void signal(int number) const { process_->signal(number); }
    /// SIGHUP, then waits until the gateway counts a reload of that result ("success" or
    /// "failure").
    bool reload(std::string_view result = "success");

    bool running() { return process_->running(); }
    std::optional<int> wait(Millis limit = kPatience) { return process_->wait(limit); }
    /// SIGTERM, then the exit code.
    std::optional<int> stop(Millis limit = kPatience);

    MetricsText metrics() const;
    std::string metrics_page() const;
    bool ready() const;
    /// True as soon as every demand gauge (queued, in flight, pending, load) is 0.
    bool quiet(Millis limit = 1s * kSlowdown) const;
    Message admin(std::string_view method, std::string_view target, std::string_view body = {},
                  const Headers& headers = {}) const;
    std::string errors() const;
    std::string access_log_text() const;
    std::vector<nlohmann::json> access_log() const;
    /// Waits for that many access log lines.
    bool wait_for_access_log(std::size_t lines, Millis limit = kPatience) const;
    /// Access log line of a request id; a null value when there is none within `limit`.
    nlohmann::json access_line(const std::string& request_id, Millis limit = kPatience) const;

private:
    void start();
    std::string full_document(std::string_view document) const;

    GatewayOptions options_;
    TempDir directory_;
    std::uint16_t data_port_ = 0;
    std::uint16_t metrics_port_ = 0;
    std::uint16_t admin_port_ = 0;
    std::unique_ptr<Process> process_;
};

/// A document with one model and one backend at `url`; `model_extra` and `backend_extra` are more
/// keys in flow style.
std::string one_model(const std::string& url, std::string_view backend_extra = {},
                      std::string_view model_extra = {}, std::string_view name = "m1");

/// Options of a gateway that forwards every path to `url` by an HTTPRoute.
GatewayOptions forward_everything(const std::string& url, std::string_view backend_extra = {},
                                  std::string_view document = {});

/// An HTTPRoute manifest for every path (PathPrefix /) to the backend with that name.
std::string catch_all_route(std::string_view backend);

}  // namespace millrace::test
