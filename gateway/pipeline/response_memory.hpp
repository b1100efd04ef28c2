// What to do about the id of an answer that a backend stores: later calls name it.
// Thread-safety: none; one worker.
#pragma once

#include <string_view>

#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"

namespace millrace::gateway {

/// What to do about the first response id that shows up.
class ResponseMemory {
public:
    ResponseMemory(RequestScope& scope, const Request& request, const Resolved& resolved)
        : scope_(scope),
          resolved_(resolved),
          wanted_(request.surface != nullptr && request.surface->api == openai::Api::responses) {}

    void on_id(std::string_view id, const Answer& answer) {
        if (wanted_ && !id.empty()) {
            wanted_ = false;
            remember_response(scope_, id, resolved_.decision.model_id, answer.endpoint->url);
        }
    }

    /// The whole of an answer that is no stream has been read.
    void on_complete(const Request& request, const Answer& answer) {
        if (answer.usage()) {
            on_id(answer.usage()->id(), answer);
        }
        if (request.surface != nullptr && request.surface->api == openai::Api::response_delete &&
            scope_.record.status < 300) {
            scope_.services.response_ids.forget(request.id);
        }
    }

private:
    RequestScope& scope_;
    const Resolved& resolved_;
    bool wanted_;
};

}  // namespace millrace::gateway
