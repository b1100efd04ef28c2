// What the commands that talk to a running gateway have in common: the address of its admin
// listener, its token, and what is said when it does not answer as it should. Thread-safety: none.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

#include "gateway/adapters/http_client.hpp"

namespace millrace::gateway {

inline constexpr const char* kAdminDefault = "http://127.0.0.1:9091";

/// The world outside, so that tests need no sockets.
using AdminExchange = std::function<Result<HttpAnswer>(const HttpRequest&)>;

class AdminClient {
public:
    /// `token_file` empty = no token. Nothing, after saying to `err` what is wrong with them, when
    /// the address or the file cannot be used.
    static std::optional<AdminClient> open(const std::string& admin, const std::string& token_file,
                                           AdminExchange exchange, std::ostream& err);

    /// The body of a 200; nothing after saying why there is none.
    std::optional<std::string> ask(const std::string& method, const std::string& path) const;
    /// Says that what answered at `path` is no gateway.
    void complain(const std::string& path) const;

private:
    AdminClient(std::string base, std::string token, AdminExchange exchange, std::ostream& err);

    std::string base_;
    std::string token_;
    AdminExchange exchange_;
    std::ostream* err_;
};

}  // namespace millrace::gateway
