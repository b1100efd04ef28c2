#include "bench/vllm_sim/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::uint64_t kShortStream = 64;  ///< Content-Length of a stream with short-length
constexpr std::uint64_t kLongStream = 1'000'000;

void strip_carriage_returns(std::string& text, std::size_t from) {
    text.erase(std::remove(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), '\r'),
               text.end());
}

}  // namespace

Exchange::Exchange(Engine& engine, OutBuffer& out, Planned planned, const Incoming& incoming,
                   bool keep_marks)
    : engine_(engine),
      out_(out),
      planned_(std::move(planned)),
      keep_marks_(keep_marks),
      http_1_0_(incoming.http_1_0),
      start_(out.rendered()),
      last_token_(engine.now) {
    const Reply& reply = planned_.reply;
    closes_ = !incoming.keep_alive;
    if (engine.shared.options.request_id_headers) {
        request_id_ = incoming.request_id;
    }
    record_.id = incoming.request_id.empty() ? reply.id : incoming.request_id;
    if (keep_marks) {
        record_.model = planned_.request.model;
        record_.path = incoming.path;
    }
    record_.stream = reply.stream;
    record_.prompt_tokens = reply.prompt_tokens;
    record_.cached_tokens = reply.cached_tokens;
    if (planned_.request.continues) {
        record_.continued_from = reply.begin;
        engine.stats.continued.add(1);
    }
    record_.started = engine.now;
    engine.stats.prompt_tokens.add(reply.prompt_tokens);
    engine.stats.cache_queries.add(reply.prompt_tokens);
    engine.stats.cache_hits.add(reply.cached_tokens);
}

void Exchange::render_head(HeadOptions options) {
    const Fault& fault = planned_.fault;
    const bool stream = planned_.reply.stream;
    options.chunked = stream && !http_1_0_;
    options.has_length = !stream;
    if (fault.kind == FaultKind::short_length) {
        options.length =
            stream ? kShortStream : options.length - std::min<std::uint64_t>(5, options.length);
    } else if (fault.kind == FaultKind::long_length) {
        options.length = stream ? kLongStream : options.length + 5;
    } else if (fault.kind == FaultKind::te_cl) {
        options.length = stream ? kShortStream : options.length;
    }
    if (fault.kind == FaultKind::short_length || fault.kind == FaultKind::long_length) {
        options.chunked = false;
        options.has_length = true;
    } else if (fault.kind == FaultKind::te_cl) {
        options.chunked = options.has_length = true;
    } else if (fault.kind == FaultKind::bad_chunk) {
        options.chunked = true;
        options.has_length = false;
    } else if (fault.kind == FaultKind::eof_body || (stream && http_1_0_)) {
        options.chunked = options.has_length = false;
    }
    closes_ = closes_ || (!options.chunked && !options.has_length) ||
              fault.kind == FaultKind::short_length || fault.kind == FaultKind::long_length ||
              fault.kind == FaultKind::te_cl || fault.kind == FaultKind::bad_chunk;
    options.close = closes_;
    options.request_id = request_id_;
    chunked_ = options.chunked;
    const std::size_t from = out_.data().size();
    append_head(out_.data(), engine_.date, options);
    if (fault.kind == FaultKind::lf_head) {
        strip_carriage_returns(out_.data(), from);
        closes_ = true;
    }
    record_.head_bytes = offset();
    if (fault.cuts()) {
        switch (fault.place) {
            case FaultPlace::start: out_.cut_at(start_); break;
            case FaultPlace::head: out_.cut_at(start_ + record_.head_bytes); break;
            case FaultPlace::bytes: out_.cut_at(start_ + fault.at); break;
            case FaultPlace::tokens:
                if (fault.at == 0) {
                    out_.cut_at(start_ + record_.head_bytes);
                }
        }
    } else if (fault.kind == FaultKind::slow_head) {
        out_.hold_at(start_ + record_.head_bytes / 2);
    }
}

void Exchange::start() {
    if (planned_.reply.stream) {
        HeadOptions options;
        options.content_type = "text/event-stream; charset=utf-8";
        render_head(options);
    }
}

void Exchange::allow(std::uint32_t tokens) {
    due_ = std::max(due_, std::min(tokens, planned_.reply.steps()));
    pump();
}

void Exchange::pump() {
    if (finished_) {
        return;
    }
    if (!planned_.reply.stream) {
        if (due_ == planned_.reply.steps()) {
            render_whole();
        }
        return;
    }
    while (next_ < due_ && out_.waiting() < kRoom && !broken_) {
        render_step();
    }
    if (broken_ || next_ == planned_.reply.steps()) {
        end_stream();
    }
}

void Exchange::event(std::string_view bytes) {
    std::string& out = out_.data();
    if (!chunked_) {
        out += bytes;
        event_end_ = offset();
        return;
    }
    char hex[16];
    const auto end = std::to_chars(hex, hex + sizeof hex, bytes.size(), 16).ptr;
    out.append(hex, end);
    out += "\r\n";
    out += bytes;
    event_end_ = offset();  // a reader can use the event before it sees the chunk's CRLF
    out += "\r\n";
}

void Exchange::mark() {
    if (keep_marks_) {
        record_.marks.emplace_back(emitted_, event_end_);
    }
}

void Exchange::render_step() {
    Reply& reply = planned_.reply;
    const Dialect& dialect = dialect_of(reply.api);
    LoopStats& stats = engine_.stats;
    if (!begun_) {
        begun_ = true;
        after_tokens(0);
        if (broken_) {
            return;
        }
        dialect.begin(reply, scratch_, *this);
        stats.ttft.observe(kTtftBuckets, seconds(engine_.now - record_.started));
    } else {
        stats.inter_token.observe(kInterTokenBuckets, seconds(engine_.now - last_token_));
    }
    last_token_ = engine_.now;
    for (std::uint32_t choice = 0; choice < reply.choices && !broken_; ++choice) {
        dialect.token(reply, engine_.texts, choice, next_, scratch_, *this);
        emitted_ += next_ < reply.tokens ? 1 : 0;
        mark();
        after_tokens(emitted_);
    }
    ++next_;
}

void Exchange::after_tokens(std::uint32_t tokens) {
    const Fault& fault = planned_.fault;
    if (fault.kind == FaultKind::none || !fault.at_tokens(tokens)) {
        return;
    }
    if (fault.cuts() && tokens > 0) {
        out_.cut_at(out_.rendered());
    } else if (fault.kind == FaultKind::bad_chunk) {
        out_.data() += "xyz\r\n";
        broken_ = true;
    } else if (fault.kind == FaultKind::error_event) {
        const ApiError error{500, "A fault was asked for.", "InternalServerError", {}};
        dialect_of(planned_.reply.api).error(error, scratch_, *this);
        broken_ = true;
    }
}

void Exchange::end_stream() {
    if (!broken_) {
        dialect_of(planned_.reply.api).end(planned_.reply, engine_.texts, scratch_, *this);
    }
    if (chunked_ && planned_.fault.kind != FaultKind::bad_chunk) {
        out_.data() += "0\r\n\r\n";
    }
    finish();
}

void Exchange::render_generated_body(std::string& body) {
    const Reply& reply = planned_.reply;
    if (generates(reply.api)) {
        dialect_of(reply.api).whole(reply, engine_.texts, body);
        next_ = reply.steps();
        emitted_ = reply.completion_tokens();
        engine_.stats.ttft.observe(kTtftBuckets, seconds(engine_.now - record_.started));
    } else {
        render_other(planned_.request, reply, body);
    }
}

void Exchange::render_whole() {
    const Fault& fault = planned_.fault;
    scratch_.clear();
    HeadOptions options;
    if (fault.kind == FaultKind::error_event) {
        // Without a stream the same failure of the engine is an ordinary 500.
        options.status = record_.status = 500;
        render_error(planned_.reply.api, {500, "A fault was asked for.", "InternalServerError", {}},
                     scratch_);
    } else {
        render_generated_body(scratch_);
    }
    options.length = scratch_.size();
    render_head(options);
    if (fault.kind == FaultKind::bad_chunk) {
        out_.data() += "xyz\r\n";
    } else {
        event(scratch_);
        out_.data() += chunked_ ? "0\r\n\r\n" : "";
    }
    if (fault.cuts() && fault.place == FaultPlace::tokens && fault.at > 0 && emitted_ > 0) {
        // A whole body has no events: the cut is at that share of it.
        const std::uint64_t share = std::min<std::uint64_t>(fault.at, emitted_);
        out_.cut_at(start_ + record_.head_bytes + scratch_.size() * share / emitted_);
    }
    if (emitted_ > 0 && fault.kind != FaultKind::bad_chunk) {
        mark();
    }
    finish();
}

void Exchange::interrupt(std::string_view end) {
    record_.tokens = emitted_;
    record_.ended = engine_.now;
    if (record_.end == "completed") {
        record_.end = end;
    }
    engine_.stats.generation_tokens.add(emitted_);
    engine_.stats.aborted.add(1);
}

void Exchange::finish() {
    finished_ = true;
    record_.tokens = emitted_;
    record_.ended = engine_.now;
    LoopStats& stats = engine_.stats;
    stats.generation_tokens.add(emitted_);
    stats.e2e.observe(kE2eBuckets, seconds(engine_.now - record_.started));
    const Fault& fault = planned_.fault;
    const bool out_of_reach =
        fault.place == FaultPlace::tokens && planned_.reply.stream && !broken_;
    if (fault.kind != FaultKind::none && !fault.cuts() && !out_of_reach) {
        record_.end = std::string("fault:") + std::string(to_string(fault.kind));
        stats.faults.add(1);
    } else if (planned_.reply.length) {
        stats.cut_by_length.add(1);
    } else {
        stats.stopped.add(1);
    }
    if (planned_.reply.api == Api::responses && planned_.reply.store) {
        engine_.shared.responses.put(
            planned_.reply.id,
            {planned_.reply, std::string(planned_.request.prompt), engine_.now, false, false});
    }
}

}  // namespace millrace::vllm_sim
