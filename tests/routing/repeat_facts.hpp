// Requests as the retry and fallback policies see them. Thread-safety: pure functions.
#pragma once

#include "routing/retry.hpp"

namespace millrace::routing::testing {

/// May be sent again.
inline RepeatFacts inference() {
    RepeatFacts facts;
    facts.method = "POST";
    return facts;
}

/// Would be stored twice.
inline RepeatFacts storing() {
    auto facts = inference();
    facts.store = true;
    return facts;
}

}  // namespace millrace::routing::testing
