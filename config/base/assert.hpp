// MILLRACE_ASSERT: an invariant of ours that stays checked in every build, release included. Never
// for input.
#pragma once

namespace millrace {

/// Prints the broken invariant to stderr and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace millrace

#define MILLRACE_ASSERT(expression)      \
    ((expression) ? static_cast<void>(0) \
                  : ::millrace::assertion_failed(#expression, __FILE__, __LINE__))
