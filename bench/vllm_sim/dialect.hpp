// How an answer looks on the wire, per API: the whole JSON body, or a stream of server-sent events.
// Field order, null placeholders and the place of usage follow vLLM (chat_completion/serving.py,
// completion/serving.py, anthropic/serving.py). Every event() is one complete event with its empty
// line, so that callers can frame and log them one by one. Stateless; thread-safety: const objects,
// callers bring the buffers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/vllm_sim/reply.hpp"
#include "bench/vllm_sim/request.hpp"

namespace millrace::vllm_sim {

/// Takes complete events one by one.
class EventSink {
public:
    virtual ~EventSink() = default;
    virtual void event(std::string_view bytes) = 0;
};

class Dialect {
public:
    virtual ~Dialect() = default;

    /// The body of a non-streaming answer.
    virtual void whole(const Reply& reply, Texts& texts, std::string& out) const = 0;

    /// Events before the first token (the role chunk, message_start, ...).
    virtual void begin(Reply& reply, std::string& scratch, EventSink& sink) const = 0;
    /// The event of one token.
    virtual void token(const Reply& reply, Texts& texts, std::uint32_t choice, std::uint32_t index,
                       std::string& scratch, EventSink& sink) const = 0;
    /// Everything after the last token, usage and terminal marker included.
    virtual void end(const Reply& reply, Texts& texts, std::string& scratch,
                     EventSink& sink) const = 0;
    /// An error in the middle of the stream and what vLLM sends behind it.
    virtual void error(const ApiError& error, std::string& scratch, EventSink& sink) const = 0;
};

/// The dialect of a generating API.
const Dialect& dialect_of(Api api);

const Dialect& chat_dialect();
const Dialect& completions_dialect();
const Dialect& responses_dialect();
const Dialect& messages_dialect();

/// A stored response as GET /v1/responses/{id} shows it; an empty status stands for the final one.
void render_response(const Reply& reply, Texts& texts, std::string_view status, std::string& out);

/// The body of an API that does not generate (embeddings, rerank, ...).
void render_other(const ApiRequest& request, const Reply& reply, std::string& out);

/// The body of a refusal: vLLM's form, or Anthropic's for /v1/messages.
void render_error(Api api, const ApiError& error, std::string& out);

/// Prefix that vLLM puts before the request id ("chatcmpl-").
std::string_view id_prefix(Api api);

}  // namespace millrace::vllm_sim
