// Services: what the pipeline uses on one worker, as references. Built once by the worker; nothing
// in it is global.
//
// Thread-safety: each worker has its own; the shared parts (budget, overload, response ids, access
// log, demand) are thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/header_field.hpp"
#include "config/base/published.hpp"
#include "gateway/access_log/access_log.hpp"
#include "gateway/openai/body_edit.hpp"
#include "gateway/openai/response_ids.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "gateway/runtime/buffer.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/upstream/pool.hpp"
#include "metrics/slot.hpp"
#include "routing/endpoints.hpp"
#include "routing/overload.hpp"
#include "routing/prompt_blocks.hpp"

namespace millrace::gateway {

/// Vectors and strings of one request, reused by the next so that the hot path does not allocate.
struct Scratch {
    std::string head;                        ///< the upstream request head
    std::vector<HeaderField> fields;         ///< fields being written
    std::vector<std::string_view> request;   ///< gather list of the request
    std::unique_ptr<openai::BodyEdit> edit;  ///< of the request; made when it is first needed
    std::vector<std::string_view> body;      ///< pieces read from the backend
    std::vector<std::string_view> out;       ///< pieces to forward

    /// Gives back what only the request and the heads needed.
    void release_request() {
        std::string().swap(head);  // an assignment would keep the memory
        std::vector<HeaderField>().swap(fields);
        std::vector<std::string_view>().swap(request);
        edit.reset();
    }
};

/// A worker's free Scratch objects; bounded.
class ScratchPool {
public:
    struct Return {
        ScratchPool* pool;
        void operator()(Scratch* scratch) const { pool->put(std::unique_ptr<Scratch>(scratch)); }
    };
    using Lease = std::unique_ptr<Scratch, Return>;

    Lease get() {
        if (free_.empty()) {
            return Lease(new Scratch, Return{this});
        }
        Scratch* scratch = free_.back().release();
        free_.pop_back();
        return Lease(scratch, Return{this});
    }

private:
    static constexpr std::size_t kKept = 64;

    void put(std::unique_ptr<Scratch> scratch) {
        if (free_.size() < kKept) {
            free_.push_back(std::move(scratch));
        }
    }

    std::vector<std::unique_ptr<Scratch>> free_;
};

class Mirrors;

struct Services {
    Loop& loop;
    const Clock& clock;
    UpstreamPool& upstreams;
    routing::EndpointView& endpoints;
    metrics::Slot& metrics;
    ByteBudget& budget;
    const routing::OverloadLadder& overload;
    openai::ResponseIds& response_ids;
    AccessLog* access_log = nullptr;  ///< null = off
    Published<Snapshot>::Reader& snapshots;
    ScratchPool& scratch;
    Mirrors& mirrors;
    routing::PromptBlocks& prompt_blocks;
    std::size_t worker = 0;  ///< which of all workers
};

}  // namespace millrace::gateway
