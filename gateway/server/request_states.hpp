// RequestStates: a worker's free parsers and output buffers, lent to a session from a request's
// first byte to the end of its answer, so that idle connections hold none and busy ones allocate
// none. Thread-safety: none; one worker.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model.hpp"
#include "gateway/http1/head_parser.hpp"

namespace millrace::gateway {

struct RequestState {
    explicit RequestState(const http1::HeadLimits& given) : limits(given), parser(given) {}

    http1::HeadLimits limits;
    http1::HeadParser parser;
    std::string head;                      ///< the answer's head
    std::vector<std::string_view> gather;  ///< the answer's write list
};

class RequestStates {
public:
    struct Return {
        RequestStates* pool = nullptr;
        void operator()(RequestState* state) const {
            pool->put(std::unique_ptr<RequestState>(state));
        }
    };
    using Lease = std::unique_ptr<RequestState, Return>;

    /// A fresh parser under these limits.
    Lease get(const config::Config& config) {
        const http1::HeadLimits limits = limits_of(config);
        while (!free_.empty()) {
            std::unique_ptr<RequestState> state = std::move(free_.back());
            free_.pop_back();
            if (same(state->limits, limits)) {
                state->parser.reset();
                return Lease(state.release(), Return{this});
            }
        }
        return Lease(new RequestState(limits), Return{this});
    }

private:
    static constexpr std::size_t kKept = 256;

    static http1::HeadLimits limits_of(const config::Config& config) {
        http1::HeadLimits limits;
        limits.start_line = config.limits.start_line;
        limits.header_block = config.limits.header_block;
        limits.fields = config.limits.header_fields;
        limits.drop_underscores = config.http.header_underscores == config::Underscores::drop;
        return limits;
    }

    static bool same(const http1::HeadLimits& a, const http1::HeadLimits& b) {
        return a.start_line == b.start_line && a.header_block == b.header_block &&
               a.fields == b.fields && a.drop_underscores == b.drop_underscores;
    }

    void put(std::unique_ptr<RequestState> state) {
        if (free_.size() < kKept) {
            free_.push_back(std::move(state));
        }
    }

    std::vector<std::unique_ptr<RequestState>> free_;
};

}  // namespace millrace::gateway
