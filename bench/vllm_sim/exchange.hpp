// One answer in the making: renders heads, events and bodies into a connection's OutBuffer as
// tokens become available, places faults, keeps the log record and the counters. Knows no sockets
// and no timers. Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/head.hpp"
#include "bench/vllm_sim/log.hpp"
#include "bench/vllm_sim/out_buffer.hpp"
#include "bench/vllm_sim/plan.hpp"

namespace millrace::vllm_sim {

class Exchange final : private EventSink {
public:
    /// `keep_marks`: the log wants an offset per event.
    Exchange(Engine& engine, OutBuffer& out, Planned planned, const Incoming& incoming,
             bool keep_marks);

    /// The head of a stream goes out before the first token, as with vLLM.
    void start();

    /// `tokens` (per choice) are computed; renders what the buffer has room for.
    void allow(std::uint32_t tokens);

    /// Renders more of what is allowed, after the buffer drained.
    void pump();

    /// The answer ends before it is complete.
    void interrupt(std::string_view end);

    bool finished() const { return finished_; }
    bool wants_room() const { return !finished_ && planned_.reply.stream && next_ < due_; }
    /// The connection cannot be used for another request afterwards.
    bool closes() const { return closes_; }

    const Planned& planned() const { return planned_; }
    std::uint64_t start_offset() const { return start_; }
    LogRecord& record() { return record_; }
    bool live = false;  ///< entered into the live set

private:
    static constexpr std::size_t kRoom = 64U
                                         << 10U;  ///< bytes waiting above which rendering pauses

    void event(std::string_view bytes) override;
    void render_head(HeadOptions options);
    void render_step();
    void render_whole();
    void render_generated_body(std::string& body);
    void end_stream();
    void finish();
    void after_tokens(std::uint32_t tokens);
    void break_chunk();
    std::uint64_t offset() const { return out_.rendered() - start_; }
    void mark();

    Engine& engine_;
    OutBuffer& out_;
    Planned planned_;
    bool keep_marks_;
    bool http_1_0_;
    std::string request_id_;
    LogRecord record_;
    std::string scratch_;
    std::uint64_t start_;
    std::uint64_t event_end_ = 0;  ///< offset behind the last event, before what ends its chunk
    std::uint32_t due_ = 0;
    std::uint32_t next_ = 0;
    std::uint32_t emitted_ = 0;  ///< over all choices
    bool chunked_ = false;
    bool begun_ = false;
    bool broken_ = false;  ///< a fault ended the rendering
    bool finished_ = false;
    bool closes_ = false;
    Instant last_token_;
};

}  // namespace millrace::vllm_sim
