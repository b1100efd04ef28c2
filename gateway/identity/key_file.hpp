// The key file: one key per line, `id tenant hmac-sha256-hex [expires=RFC3339] [disabled]`; `#`
// starts a comment.
//
// Reading reports every problem with its line, and a file with any problem is not used: a key that
// was silently skipped would be either a lock-out or, worse, a revocation that did not happen.
// Thread-safety: free functions without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "gateway/identity/digest.hpp"

namespace millrace::gateway {

struct KeyRecord {
    std::string id;
    std::string tenant;
    KeyDigest digest{};
    std::optional<WallTime> expires;
    bool disabled = false;
};

struct KeyFileProblem {
    int line = 0;  ///< from 1
    std::string message;
};

struct KeyFile {
    std::vector<KeyRecord> records;
    std::vector<KeyFileProblem> problems;
};

KeyFile parse_key_file(std::string_view text);

/// All problems as one text, one `file:line: sentence` per line.
std::string describe(const std::string& file, const std::vector<KeyFileProblem>& problems);

/// Key ids and tenant names: 1 to 64 characters of `A-Z a-z 0-9 . _ : @ / -`, the first a letter or
/// digit.
bool is_key_name(std::string_view name);

/// RFC 3339 date-time with `Z` or a numeric offset; fractions are accepted and cut off.
std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace millrace::gateway
