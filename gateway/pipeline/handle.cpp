// One request, from its head to its last byte. Each step is a file of this folder; `scope` settles
// the account whichever way this function is left.
#include "gateway/pipeline/handle.hpp"

#include <memory>
#include <utility>

#include "gateway/pipeline/forward.hpp"
#include "gateway/pipeline/mirror.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/relay.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/respond.hpp"
#include "gateway/pipeline/scope.hpp"

namespace millrace::gateway {

Task<void> handle(Services& services, Exchange& exchange) {
    RequestScope scope(services, exchange);
    Request request;

    if (auto known = authenticate(scope); !known) {
        co_return co_await refuse(scope, std::move(known.error()));
    }
    if (auto admitted = admit_head(scope, request); !admitted) {
        co_return co_await refuse(scope, std::move(admitted.error()));
    }
    if (auto read = co_await read_body(scope, request); !read) {
        co_return co_await refuse(scope, std::move(read.error()));
    }

    auto local = local_answer(scope, request);
    if (!local) {
        co_return co_await refuse(scope, std::move(local.error()));
    }
    if (*local) {
        co_return co_await respond_json(scope, **local);
    }

    auto resolved = resolve(scope, request);
    if (!resolved) {
        co_return co_await refuse(scope, std::move(resolved.error()));
    }

    services.mirrors.copy(scope, request, *resolved);

    std::unique_ptr<Hedge> hedge;  // made for models that ask for it
    Answer first(services.scratch);
    auto answer = co_await forward(scope, request, *resolved, first, hedge);
    if (!answer) {
        co_return co_await refuse(scope, std::move(answer.error()));
    }
    co_await relay(scope, request, *resolved, **answer, hedge);
}

}  // namespace millrace::gateway
