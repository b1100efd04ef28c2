// `millrace keys new` and `millrace keys digest`: lines for the key file.
//
// Keys and peppers never appear among the arguments, where other users of the machine could read
// them: the pepper comes from a file or the environment, an imported key from standard input.
// Thread-safety: free functions without state.
#pragma once

#include <iosfwd>
#include <string>

#include "config/base/error.hpp"
#include "config/base/secret.hpp"

namespace millrace::gateway {

/// Exactly one of the two is set.
struct PepperSource {
    std::string file;
    std::string environment;  ///< name of a variable
};

Result<Secret> read_pepper(const PepperSource& source);

struct NewKeyOptions {
    std::string tenant;
    PepperSource pepper;
    std::string expires;  ///< RFC 3339; empty = never
};

/// Prints the new key, which is shown this once, and its line.
int run_keys_new(const NewKeyOptions& options, std::ostream& out, std::ostream& err);

struct DigestOptions {
    std::string id;  ///< empty = taken from the key, which then must be of our form
    std::string tenant;
    PepperSource pepper;
};

/// Reads one key from `in` and prints its line, so that keys of other systems can be imported.
int run_keys_digest(const DigestOptions& options, std::istream& in, std::ostream& out,
                    std::ostream& err);

}  // namespace millrace::gateway
