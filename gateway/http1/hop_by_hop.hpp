// Which fields of a parsed head may be forwarded to the other side. Forwarded messages are always
// written anew from the parsed model (serializer.hpp), so this is the only place that decides what
// passes. Thread-safety: pure functions.
//
// Not decided here, because it needs configuration: forwarding fields of untrusted peers, the
// backend's credential, Host, and cookies.
#pragma once

#include <optional>
#include <string_view>

#include "config/base/header_field.hpp"
#include "gateway/http1/head_parser.hpp"
#include "gateway/http1/response_parser.hpp"

namespace millrace::http1 {

/// What the Connection lines of one head say together.
struct ConnectionOptions {
    bool close = false;
    bool names_fields = false;  ///< a field that is not hop-by-hop by itself
    bool names_protected =
        false;  ///< a field whose removal would change framing, identity or routing
    unsigned count = 0;
};

/// Nothing if a Connection value is not a list of tokens, or the lists have more than 32.
std::optional<ConnectionOptions> connection_options(const FieldTable& fields);

/// True for our own x-millrace-*, and the endpoint pickers' x-gateway-* and x-llm-d-*.
bool is_reserved_prefix(std::string_view name);

/// False for hop-by-hop fields and those that Connection names, for Host, framing and Expect (the
/// writer makes its own), and for fields with a reserved prefix.
bool forwards_to_upstream(const RequestHead& head, const HeaderField& field);

/// False for hop-by-hop fields and those that Connection names (except protected ones), for
/// framing, `server`, and fields with our own prefix.
bool forwards_to_client(const ResponseHead& head, const HeaderField& field);

}  // namespace millrace::http1
