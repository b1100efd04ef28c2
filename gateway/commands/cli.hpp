// The command line: declares every command and option (CLI11, only in cli.cpp) and calls the one
// that was asked for. Thread-safety: called once, from main.
#pragma once

#include <functional>
#include <iosfwd>

#include "gateway/commands/serve.hpp"

namespace millrace::gateway {

/// `serve` is handed in, so that the other commands and their tests link without the whole gateway.
int run_cli(int argc, const char* const* argv, std::ostream& out, std::ostream& err,
            const std::function<int(const ServeOptions&)>& serve);

}  // namespace millrace::gateway
