// `millrace version`: version, compiler and the libraries that a report of a problem should name.
// Thread-safety: free function without state.
#pragma once

#include <iosfwd>

namespace millrace::gateway {

int run_version(std::ostream& out);

}  // namespace millrace::gateway
