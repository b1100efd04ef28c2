// The process's own log: one line per event on stderr, through spdlog. Levels: error = something
// could not be served or applied; warning = recovered; info = start, stop, reload, drain; debug =
// details. Requests are in the access log. Thread-safety: any thread.
#pragma once

#include <string_view>

#include "config/model.hpp"

namespace millrace::gateway {

void set_log_level(config::LogLevel level);

/// Control characters in `message` are replaced, so that one event stays one line.
void log(config::LogLevel level, std::string_view message);

inline void log_info(std::string_view message) {
    log(config::LogLevel::info, message);
}
inline void log_warning(std::string_view message) {
    log(config::LogLevel::warning, message);
}
inline void log_error(std::string_view message) {
    log(config::LogLevel::error, message);
}

}  // namespace millrace::gateway
