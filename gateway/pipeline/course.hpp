// Course: a request among its pools: what it may still try in the one it is in, and where it goes
// then. Decisions only (routing/retry.hpp, routing/fallback.hpp); forward.cpp acts on them.
// Thread-safety: none; one worker.
#pragma once

#include <cstdint>
#include <optional>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/model.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "metrics/labels.hpp"
#include "routing/fallback.hpp"
#include "routing/retry.hpp"
#include "routing/selection.hpp"

namespace millrace::gateway {

class Course {
public:
    Course(RequestScope& scope, const Request& request, Resolved& resolved);

    /// To be called when an endpoint was leased: the wait for it may have ended in another pool.
    void follow();

    /// The right to another attempt in the pool, for which that of `answer` is given back; nullopt
    /// = it gets none.
    std::optional<routing::RetryBudget::Lease> retry(Answer& answer,
                                                     const routing::AttemptResult& failed);
    bool needs_fresh_connection() const { return verdict_ == Verdict::fresh_connection; }
    /// How long to wait before that attempt.
    Duration pause() const;
    metrics::RetryReason reason_of(const routing::AttemptResult& failed) const;

    /// The right to go on with a stream whose backend is lost, at another endpoint of the pool, and
    /// in no other pool: nobody else speaks with the same voice. Empty = none.
    routing::RetryBudget::Lease go_on(Answer& answer);

    /// The request may get a second attempt beside its first.
    bool may_hedge() const;

    /// The pool could not do it. True: the request is in that of a fallback now.
    bool leave_pool(Errc error, std::uint16_t status);

    routing::Selection selection;  ///< what it wants of the pool that it is in
    bool hedged = false;           ///< it had its second attempt

private:
    using Verdict = routing::RetryPolicy::Verdict;

    void enter_pool();

    RequestScope& scope_;
    const Request& request_;
    Resolved& resolved_;
    const routing::RepeatFacts facts_;
    routing::RetryPolicy policy_;
    Verdict verdict_ = Verdict::give_up;
    const routing::Rule* rule_ = nullptr;
    const routing::Target* target_ = nullptr;
    config::Retry retry_;
};

}  // namespace millrace::gateway
