// Throw-away certificates made with the openssl command: an authority, and leaves signed by it.
// Thread-safety: none.
#pragma once

#include <string>

#include "tests/support/temp_dir.hpp"

namespace millrace::test {

struct Certificate {
    std::string certificate;  ///< path of the PEM file
    std::string key;          ///< path of its key
};

/// A self-signed authority named `name` in `directory`.
Certificate make_authority(const TempDir& directory, const std::string& name);

/// A leaf for `common_name` (also as DNS name, with loopback() as IP name), signed by `authority`.
Certificate make_leaf(const TempDir& directory, const Certificate& authority,
                      const std::string& file, const std::string& common_name);

/// `id tenant hmac-sha256-hex` and a line end, for a key of any form.
std::string key_file_line(const std::string& id, const std::string& tenant, const std::string& key,
                          const std::string& pepper, const std::string& more = {});

}  // namespace millrace::test
