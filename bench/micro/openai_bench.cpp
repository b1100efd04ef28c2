// Micro benchmarks of everything that touches a request or response body: peek, edit, stream
// filter, usage.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <vector>

#include "gateway/openai/body_edit.hpp"
#include "gateway/openai/peek.hpp"
#include "gateway/openai/rule_facts.hpp"
#include "gateway/openai/stream_filter.hpp"
#include "metrics/tokens/json_scanner.hpp"
#include "metrics/tokens/response_usage.hpp"

namespace millrace::openai {
namespace {

constexpr std::string_view kProse =
    "The quick brown fox jumps over the lazy dog, and then it \\\"thinks\\\" about routing.\\n"
    "Long prompts have few structural characters but many escapes of this kind. ";

std::string prose_body(std::size_t size) {
    std::string body = R"({"model":"llama-3-8b","messages":[{"role":"user","content":")";
    while (body.size() < size) {
        body += kProse;
    }
    return body + R"("}],"max_tokens":256,"stream":true,"stream_options":{"include_usage":true}})";
}

std::string messages_body(std::size_t size) {
    std::string body = R"({"model":"llama-3-8b","messages":[)";
    bool user = true;
    while (body.size() < size) {
        body +=
            user
                ? R"({"role":"user","content":"And what about the second one, is it better?"},)"
                : R"({"role":"assistant","content":[{"type":"text","text":"It depends on the load."}]},)";
        user = !user;
    }
    return body + R"({"role":"user","content":"ok"}],"max_tokens":256,"stream":true})";
}

void peek(benchmark::State& state, const std::string& body) {
    for (auto _ : state) {
        Peek peek;
        auto fields = peek.finish(body);
        benchmark::DoNotOptimize(fields);
        if (!fields) {
            state.SkipWithError("the body was refused");
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                            static_cast<std::int64_t>(body.size()));
}

void peek_prose(benchmark::State& state) {
    peek(state, prose_body(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(peek_prose)->Arg(1'000)->Arg(16'000)->Arg(220'000)->Arg(1'000'000);

void peek_messages(benchmark::State& state) {
    peek(state, messages_body(static_cast<std::size_t>(state.range(0))));
}
BENCHMARK(peek_messages)->Arg(1'000)->Arg(16'000)->Arg(220'000)->Arg(1'000'000);

void peek_messages_portable(benchmark::State& state) {
    metrics::JsonScanner::use_portable_kernel(true);
    peek(state, messages_body(static_cast<std::size_t>(state.range(0))));
    metrics::JsonScanner::use_portable_kernel(false);
}
BENCHMARK(peek_messages_portable)->Arg(1'000)->Arg(220'000);

/// On top of the peek, for a model whose rules look at a key of the body.
void rule_fields(benchmark::State& state) {
    const auto body = messages_body(static_cast<std::size_t>(state.range(0)));
    Peek peek;
    const auto fields = peek.finish(body);
    routing::TicketDirectory tickets;
    routing::ModelRule rule;
    rule.fields = {{"max_tokens", {}, {}}};
    rule.targets = {{"m", 1}};
    const auto rules = routing::RuleSet::compile({rule}, "smart", tickets);
    for (auto _ : state) {
        RuleInputs inputs;
        inputs.read_json(*fields, body, *rules);
        benchmark::DoNotOptimize(rules->choose(inputs.facts(0.25F, {})));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                            static_cast<std::int64_t>(body.size()));
}
BENCHMARK(rule_fields)->Arg(1'000)->Arg(220'000);

void edit_body(benchmark::State& state) {
    const std::string body = prose_body(1'000);
    Peek peek;
    const auto fields = peek.finish(body);
    std::vector<std::string_view> out;
    for (auto _ : state) {
        out.clear();
        const BodyEdit edit =
            edits_for(*fields, body, "llama-3-8b-ft2", {.final_usage = true, .continuous = true});
        edit.gather(body, out);
        benchmark::DoNotOptimize(out.data());
    }
}
BENCHMARK(edit_body);

constexpr std::string_view kChatEvent =
    "data: "
    "{\"id\":\"chatcmpl-8b1c4c7e5d5f4f0e9a\",\"object\":\"chat.completion.chunk\",\"created\":"
    "1735689600,"
    "\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
    "hello\"},\"logprobs\":null,"
    "\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":25,\"total_tokens\":37,\"completion_"
    "tokens\":12}}\n\n";
constexpr std::string_view kPlainEvent =
    "data: "
    "{\"id\":\"chatcmpl-8b1c4c7e5d5f4f0e9a\",\"object\":\"chat.completion.chunk\",\"created\":"
    "1735689600,"
    "\"model\":\"llama-3-8b\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
    "hello\"},\"logprobs\":null,"
    "\"finish_reason\":null}]}\n\n";

void filter(benchmark::State& state, std::string_view event, ShowUsage show) {
    // 16 events a read, as a busy backend sends them; time is per event.
    constexpr std::size_t kEvents = 16;
    std::string piece;
    for (std::size_t i = 0; i < kEvents; ++i) {
        piece += event;
    }
    StreamFilter stream(metrics::Dialect::chat, show);
    std::vector<std::string_view> out;
    while (state.KeepRunningBatch(kEvents)) {
        out.clear();
        stream.feed(piece, out);
        benchmark::DoNotOptimize(out.data());
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                            static_cast<std::int64_t>(event.size()));
}

void filter_hiding_usage(benchmark::State& state) {
    filter(state, kChatEvent, ShowUsage::nothing);
}
BENCHMARK(filter_hiding_usage);
void filter_untouched(benchmark::State& state) {
    filter(state, kChatEvent, ShowUsage::everything);
}
BENCHMARK(filter_untouched);
void filter_without_usage(benchmark::State& state) {
    filter(state, kPlainEvent, ShowUsage::nothing);
}
BENCHMARK(filter_without_usage);

void filter_split_event(benchmark::State& state) {
    StreamFilter stream(metrics::Dialect::chat, ShowUsage::nothing);
    std::vector<std::string_view> out;
    for (auto _ : state) {
        out.clear();
        stream.feed(kChatEvent.substr(0, 100), out);
        stream.feed(kChatEvent.substr(100), out);
        benchmark::DoNotOptimize(out.data());
    }
}
BENCHMARK(filter_split_event);

void response_usage(benchmark::State& state) {
    const std::string body =
        R"({"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"llama-3-8b","choices":[{"index":0,"message":{"role":"assistant","content":")" +
        std::string(300, 'a') +
        R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"total_tokens":37,"completion_tokens":12}})";
    for (auto _ : state) {
        metrics::ResponseUsage usage(metrics::Dialect::chat);
        usage.feed(body);
        benchmark::DoNotOptimize(usage.usage());
    }
}
BENCHMARK(response_usage);

}  // namespace
}  // namespace millrace::openai
