#include "bench/vllm_sim/connection.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "bench/vllm_sim/control.hpp"
#include "bench/vllm_sim/loop.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::size_t kFlushAbove = 64U << 10U;
constexpr std::size_t kKeepCapacity = 64U << 10U;  ///< of the input buffer of an idle connection

}  // namespace

Connection::Connection(Loop& loop, int fd, std::uint64_t serial)
    : loop_(loop), fd_(fd), serial_(serial), interest_(EPOLLIN | EPOLLRDHUP) {}

Connection::~Connection() {
    ::close(fd_);
}

void Connection::on_event(std::uint32_t events) {
    if ((events & EPOLLIN) != 0) {
        read();
    }
    if (!closed_ && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        abort("aborted_by_client");  // like vLLM: a client that stops sending has left
    }
    if (!closed_ && (events & EPOLLOUT) != 0) {
        blocked_ = false;
        flush();
        after_render();
        resume();
    }
    update_interest();
}

void Connection::read() {
    std::string& scratch = loop_.read_buffer();
    while (!closed_ && !stalled_) {
        const ssize_t got = ::recv(fd_, scratch.data(), scratch.size(), 0);
        if (got <= 0) {
            if (got < 0 && errno != EAGAIN && errno != EINTR) {
                abort("aborted_by_client");
            }
            return;  // an end of stream comes as EPOLLRDHUP
        }
        const std::string_view fresh(scratch.data(), static_cast<std::size_t>(got));
        if (in_.empty()) {
            process(fresh);
        } else {
            in_ += fresh;
            process(in_);
        }
        if (fresh.size() < scratch.size() || (in_.size() > kReadAhead && (exchange_ || blocked_))) {
            return;
        }
    }
}

void Connection::process(std::string_view data) {
    Loop::cancel(*this, Timer::idle);
    processing_ = true;
    while (!data.empty() && !exchange_ && !closing_ && !closed_ && !stalled_ && !blocked_) {
        const auto status = reader_.read(data);
        if (status == RequestReader::Status::complete) {
            handle(reader_.incoming());
            if (out_.waiting() > kFlushAbove) {
                flush();
            }
            continue;
        }
        if (status == RequestReader::Status::failed) {
            closing_ = true;
            answer({}, 400, "Invalid HTTP request received.", "text/plain; charset=utf-8");
        } else if (reader_.take_expectation()) {
            out_.data() += "HTTP/1.1 100 Continue\r\n\r\n";
        }
        break;
    }
    processing_ = false;
    if (!closed_) {
        keep(closing_ ? std::string_view() : data);
        flush();
    }
}

void Connection::keep(std::string_view rest) {
    const std::less<const char*> before;
    const bool inside = !in_.empty() && !before(rest.data(), in_.data()) &&
                        !before(in_.data() + in_.size(), rest.data());
    if (rest.empty()) {
        in_.clear();
        if (in_.capacity() > kKeepCapacity) {
            in_.shrink_to_fit();
        }
    } else if (inside) {
        in_.erase(0, static_cast<std::size_t>(rest.data() - in_.data()));
    } else {
        in_.assign(rest);
    }
}

/// Pipelined requests that arrived while an answer was under way.
void Connection::resume() {
    if (!processing_ && !closed_ && !in_.empty() && !exchange_ && !closing_ && !stalled_ &&
        !blocked_) {
        process(in_);
    }
}

void Connection::handle(const Incoming& incoming) {
    Engine& engine = loop_.engine();
    engine.stats.requests.add(1);
    if (incoming.api != Api::none) {
        handle_inference(incoming);
        return;
    }
    const Answer answered = control(engine, incoming);
    if (answered.status >= 400) {
        engine.stats.refused.add(1);
    }
    answer(incoming, answered.status, answered.body, answered.content_type);
}

void Connection::handle_inference(const Incoming& incoming) {
    Engine& engine = loop_.engine();
    auto planned = plan(engine, incoming);
    if (!planned) {
        refuse(incoming, planned.error());
        return;
    }
    if (planned->request.background && planned->request.api == Api::responses) {
        const Answer answered = accept_background(engine, *planned);
        answer(incoming, answered.status, answered.body, answered.content_type);
        return;
    }
    if (planned->batched && !loop_.submit(*this, planned->reply)) {
        refuse(incoming,
               {{400, "The request does not fit into the KV cache.", "BadRequestError", {}}});
        return;
    }
    cut_fault_ = planned->fault;
    exchange_.emplace(engine, out_, std::move(*planned), incoming, loop_.log().enabled());
    exchange_->start();
    start_pacing();
    after_render();
}

void Connection::refuse(const Incoming& incoming, const Refusal& refusal) {
    Engine& engine = loop_.engine();
    const std::uint64_t start = out_.rendered();
    std::string body;
    render_error(incoming.api, refusal.error, body);
    engine.stats.refused.add(1);
    engine.stats.faults.add(refusal.by_fault ? 1 : 0);
    answer(incoming, refusal.error.status, body, "application/json", refusal.retry_after);
    if (loop_.log().enabled()) {
        LogRecord record;
        record.id = incoming.request_id;
        record.path = incoming.path;
        record.status = refusal.error.status;
        record.end = refusal.by_fault ? "fault:status" : "completed";
        record.started = record.ended = engine.now;
        record.head_bytes = out_.rendered() - start - body.size();
        unflushed_.push_back({std::move(record), start, out_.rendered()});
    }
}

void Connection::answer(const Incoming& incoming, int status, std::string_view body,
                        std::string_view content_type, std::uint32_t retry_after) {
    HeadOptions options;
    options.status = status;
    options.content_type = content_type;
    options.length = body.size();
    options.retry_after = retry_after;
    options.close = closing_ || !incoming.keep_alive;
    if (loop_.engine().shared.options.request_id_headers) {
        options.request_id = incoming.request_id;
    }
    closing_ = options.close;
    append_head(out_.data(), loop_.engine().date, options);
    if (incoming.method != http1::Method::head) {
        out_.data() += body;
    }
}

void Connection::start_pacing() {
    const Planned& planned = exchange_->planned();
    if (planned.batched) {
        return;
    }
    if (planned.ttft == Duration::zero() && planned.inter_token == Duration::zero()) {
        exchange_->allow(planned.reply.steps());
        return;
    }
    paced_ = 0;
    next_due_ = loop_.engine().now + planned.ttft;
    if (!planned.reply.stream && planned.reply.tokens > 0) {
        paced_ = planned.reply.tokens - 1;
        next_due_ += planned.inter_token * paced_;
    }
    loop_.schedule(*this, Timer::token, next_due_);
}

void Connection::on_timer(Timer timer) {
    switch (timer) {
        case Timer::idle:
            if (!busy() && in_.empty()) {
                close(false);
            }
            break;
        case Timer::release:
            release_scheduled_ = false;
            out_.release();
            flush();
            after_render();
            resume();
            break;
        case Timer::token: on_token_timer(); break;
        case Timer::kCount: break;
    }
}

void Connection::on_token_timer() {
    if (!exchange_ || stalled_) {
        return;
    }
    const Planned& planned = exchange_->planned();
    const std::uint32_t tokens = planned.reply.steps();
    if (planned.inter_token == Duration::zero()) {
        paced_ = tokens;
    }
    while (next_due_ <= loop_.engine().now && paced_ < tokens) {
        ++paced_;
        next_due_ += planned.inter_token;
    }
    if (paced_ < tokens) {
        loop_.schedule(*this, Timer::token, next_due_);
    }
    allow(paced_);
}

void Connection::allow(std::uint32_t tokens) {
    if (!exchange_ || stalled_) {
        return;
    }
    exchange_->allow(tokens);
    after_render();
    update_interest();
}

}  // namespace millrace::vllm_sim
