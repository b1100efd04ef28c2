// Percent-decoding (RFC 3986 2.1), once; malformed escapes stay as they are. Thread-safety: a free
// function.
#pragma once

#include <string>
#include <string_view>

namespace millrace::routing {

std::string percent_decoded(std::string_view text);

}  // namespace millrace::routing
