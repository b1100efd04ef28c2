// Units of sizes in the defaults, in bytes. Part of config/model.hpp. Thread-safety: constants.
#pragma once

#include <cstdint>

namespace millrace::config {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

}  // namespace millrace::config
