// From head to facts: what is checked before the body is read (admit head), and the body with what
// routing needs to know of it. Thread-safety: none; one worker.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/openai/multipart.hpp"
#include "gateway/openai/peek.hpp"
#include "gateway/openai/surface.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/runtime/task.hpp"
#include "routing/facts.hpp"

namespace millrace::gateway {

/// A request whose body has been read. Views point into the exchange's head and body.
struct Request {
    const openai::Surface* surface =
        nullptr;     ///< null = outside the API, forwarded only by an explicit route
    std::string id;  ///< `{id}` of the path, decoded
    std::string_view body;
    std::optional<openai::RequestFields> fields;         ///< of a JSON body
    std::unique_ptr<openai::MultipartFields> multipart;  ///< of a multipart body; else null

    bool is_stream() const {
        return surface != nullptr && surface->can_stream && fields && fields->stream;
    }
};

/// Who is calling, from the head alone.
Result<void> authenticate(RequestScope& scope);

/// What can be refused before the body is read, and before `100 Continue`.
Result<void> admit_head(RequestScope& scope, Request& request);

/// The body, and the facts in it.
Task<Result<void>> read_body(RequestScope& scope, Request& request);

/// What routing may know. Views live as long as `request` and the exchange's head.
routing::RequestFacts facts_of(const RequestScope& scope, const Request& request);

}  // namespace millrace::gateway
