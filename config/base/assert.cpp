#include "config/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace millrace {

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "millrace: invariant broken: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

}  // namespace millrace
