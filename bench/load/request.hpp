// Builds the requests: one chat completion whose body has an exact length and reads like a
// conversation (prose in messages of 2 KB, with escapes), because what a gateway's JSON scanner
// pays depends on that. The body never changes within a run; the head does only when it carries
// ids or keys. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/load/options.hpp"

namespace millrace::load {

/// A JSON object of exactly `bytes` bytes, or the smallest possible one if that is longer.
std::string build_body(std::string_view model, std::uint32_t bytes, bool model_first, bool stream);

class RequestTemplate {
public:
    RequestTemplate(const Options& options, bool stream);

    /// Head of request `serial`, written over `out` unless it never changes; valid as long as
    /// `out` and this object.
    std::string_view head(std::uint64_t serial, std::string& out) const;
    std::string_view body() const { return body_; }

    /// `PREFIX-NUMBER`, with sticky keys `PREFIX-kKEY-NUMBER`.
    std::string id(std::uint64_t serial) const;

private:
    std::uint64_t key(std::uint64_t serial) const { return serial % sticky_keys_; }

    std::string fixed_;  ///< all lines that never change, without the final empty line
    std::string whole_;  ///< with it
    std::string body_;
    std::string id_prefix_;
    std::string sticky_header_;
    std::uint32_t sticky_keys_;
};

}  // namespace millrace::load
