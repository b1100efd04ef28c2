#include "gateway/commands/admin_client.hpp"

#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "gateway/adapters/file_reader.hpp"

namespace millrace::gateway {
namespace {

constexpr auto kExchangeTimeout = std::chrono::seconds(10);

/// The message of an error body, or the body itself, shortened.
std::string reason_of(const HttpAnswer& answer) {
    const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("error") && json["error"].is_object() &&
        json["error"].contains("message") && json["error"]["message"].is_string()) {
        return json["error"]["message"].get<std::string>();
    }
    return answer.body.substr(0, 200);
}

}  // namespace

AdminClient::AdminClient(std::string base, std::string token, AdminExchange exchange,
                         std::ostream& err)
    : base_(std::move(base)),
      token_(std::move(token)),
      exchange_(std::move(exchange)),
      err_(&err) {}

std::optional<AdminClient> AdminClient::open(const std::string& admin,
                                             const std::string& token_file, AdminExchange exchange,
                                             std::ostream& err) {
    if (const auto url = parse_http_url(admin); !url) {
        err << url.error().detail << '\n';
        return std::nullopt;
    }
    std::string token;
    if (!token_file.empty()) {
        auto read = read_secret_file(token_file);
        if (!read) {
            err << read.error().detail << '\n';
            return std::nullopt;
        }
        token = std::move(*read);
    }
    return AdminClient(admin.substr(0, admin.find_last_not_of('/') + 1), std::move(token),
                       std::move(exchange), err);
}

std::optional<std::string> AdminClient::ask(const std::string& method,
                                            const std::string& path) const {
    HttpRequest request;
    request.method = method;
    request.url = base_ + path;
    request.timeout = kExchangeTimeout;
    if (!token_.empty()) {
        request.headers.emplace_back("Authorization", "Bearer " + token_);
    }
    auto answer = exchange_(request);
    if (!answer) {
        *err_ << answer.error().detail << '\n';
        return std::nullopt;
    }
    if (answer->status != 200) {
        *err_ << request.method << ' ' << request.url << " was refused with " << answer->status
              << ": " << reason_of(*answer) << '\n';
        return std::nullopt;
    }
    return std::move(answer->body);
}

void AdminClient::complain(const std::string& path) const {
    *err_ << base_ << path << " did not answer like a Millrace admin listener; check --admin.\n";
}

}  // namespace millrace::gateway
