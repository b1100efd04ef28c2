// Reads the `model` and `stream` parts of a buffered multipart/form-data body (audio and image
// uploads), strictly.
//
// Anything that another parser might read differently is refused: missing or repeated boundaries,
// bare LF, a second `model`, a `model` that is a file. Thread-safety: pure functions. Units: byte
// offsets into the body.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/openai/body_edit.hpp"

namespace millrace::openai {

struct MultipartFields {
    std::string boundary;
    std::optional<std::string> model;
    std::optional<Span> model_value;  ///< the part's content
    bool stream = false;
    std::size_t parts = 0;
};

/// The boundary parameter of a multipart/form-data Content-Type. unsupported_media_type for other
/// types, bad_multipart for a missing or malformed boundary.
Result<std::string> multipart_boundary(std::string_view content_type);

Result<MultipartFields> read_multipart(std::string_view content_type, std::string_view body);

/// Makes the `model` part say `served_name`; adds the part in front if there is none.
BodyEdit edits_for(const MultipartFields& fields, std::string_view served_name);

}  // namespace millrace::openai
