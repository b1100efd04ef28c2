#include "bench/vllm_sim/control.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/json_scan.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

using http1::Method;

constexpr std::string_view kResponses = "/v1/responses/";

Answer not_found() {
    return {404, R"({"detail":"Not Found"})"};
}

Answer refusal(int status, std::string message, std::string type) {
    Answer answer{status, {}};
    render_error(Api::none, {status, std::move(message), std::move(type), {}}, answer.body);
    return answer;
}

Answer models(Engine& engine) {
    Answer answer;
    answer.body = R"({"object":"list","data":[)";
    bool first = true;
    for (const std::string& model : engine.shared.options.models) {
        answer.body += first ? R"({"id":)" : R"(,{"id":)";
        first = false;
        append_json_string(answer.body, model);
        append(answer.body, R"(,"object":"model","created":)", engine.unix_seconds,
               R"(,"owned_by":"vllm","root":)");
        append_json_string(answer.body, model);
        append(answer.body, R"(,"parent":null,"max_model_len":)",
               engine.shared.options.max_model_len, R"(,"permission":[]})");
    }
    answer.body += "]}";
    return answer;
}

Answer metrics(Engine& engine) {
    const Options& options = engine.shared.options;
    return {200,
            render_metrics(engine.shared.loops, {options.models.front(), options.old_metrics,
                                                 engine.shared.sleep_level}),
            "text/plain; version=0.0.4; charset=utf-8"};
}

Answer live(Engine& engine) {
    const auto ids = engine.shared.live.ids();
    Answer answer;
    append(answer.body, R"({"count":)", ids.size(), R"(,"ids":[)");
    for (std::size_t i = 0; i < ids.size(); ++i) {
        answer.body += i == 0 ? "" : ",";
        append_json_string(answer.body, ids[i]);
    }
    answer.body += "]}";
    return answer;
}

Answer stats(Engine& engine) {
    const auto& loops = engine.shared.loops;
    Answer answer;
    append(answer.body, R"({"requests":)", total(loops, &LoopStats::requests), R"(,"completed":)",
           total(loops, &LoopStats::stopped) + total(loops, &LoopStats::cut_by_length),
           R"(,"aborted":)", total(loops, &LoopStats::aborted), R"(,"faults":)",
           total(loops, &LoopStats::faults), R"(,"continued":)",
           total(loops, &LoopStats::continued), R"(,"refused":)", total(loops, &LoopStats::refused),
           R"(,"prompt_tokens":)", total(loops, &LoopStats::prompt_tokens),
           R"(,"generation_tokens":)", total(loops, &LoopStats::generation_tokens), R"(,"live":)",
           engine.shared.live.ids().size(), "}");
    return answer;
}

/// {"fault": SPEC, "every": N, "count": N, "healthy": bool}; every member is optional.
Answer set_faults(Engine& engine, std::string_view body) {
    const std::string_view spec = member_of(body, "fault");
    const auto fault = parse_fault(text_of(spec));
    if (!fault) {
        return refusal(400, fault.error().detail, "BadRequestError");
    }
    if (!spec.empty()) {
        const auto every = to_number<std::uint32_t>(member_of(body, "every")).value_or(1);
        const auto count = to_number<std::uint64_t>(member_of(body, "count")).value_or(~0ULL);
        engine.shared.faults.set(*fault, every, count);
    }
    if (const std::string_view healthy = member_of(body, "healthy"); !healthy.empty()) {
        engine.shared.healthy = is_true(healthy);
    }
    return {200, "{}"};
}

Answer sleep(Engine& engine, std::string_view query) {
    constexpr std::string_view kLevel = "level=";
    const std::size_t at = query.find(kLevel);
    const int level = at == std::string_view::npos
                          ? 1
                          : to_number<int>(query.substr(at + kLevel.size(), 1)).value_or(0);
    if (level != 1 && level != 2) {
        return refusal(400, "The sleep level must be 1 or 2.", "BadRequestError");
    }
    engine.shared.sleep_level = level;
    engine.cache.clear();
    return {200, {}, {}};
}

std::string_view status_of(const StoredResponse& stored, Instant now) {
    if (stored.cancelled) {
        return "cancelled";
    }
    return stored.done_at > now ? "in_progress" : std::string_view();
}

Answer show(Engine& engine, const StoredResponse& stored) {
    Answer answer;
    render_response(stored.reply, engine.texts, status_of(stored, engine.now), answer.body);
    return answer;
}

Answer responses(Engine& engine, const Incoming& incoming) {
    std::string_view rest = std::string_view(incoming.path).substr(kResponses.size());
    const std::string id(rest.substr(0, rest.find('/')));
    rest.remove_prefix(id.size());
    const auto stored = engine.shared.responses.find(id);
    if (!stored) {
        return refusal(404, "Response with id '" + id + "' not found.", "NotFoundError");
    }
    if (rest.empty() && incoming.method == Method::get) {
        return show(engine, *stored);
    }
    if (rest.empty() && incoming.method == Method::delete_) {
        engine.shared.responses.erase(id);
        Answer answer;
        append(answer.body, R"({"id":)", stored->reply.id_json,
               R"(,"object":"response","deleted":true})");
        return answer;
    }
    if (rest == "/input_items" && incoming.method == Method::get) {
        Answer answer;
        append(answer.body,
               R"({"object":"list","data":[{"type":"message","role":"user","content":)",
               stored->input, R"(}],"has_more":false})");
        return answer;
    }
    if (rest == "/cancel" && incoming.method == Method::post) {
        if (!engine.shared.responses.cancel(id, engine.now)) {
            return refusal(400, "Cannot cancel a synchronous response.", "BadRequestError");
        }
        return show(engine, *engine.shared.responses.find(id));
    }
    return not_found();
}

struct Route {
    Method method;
    std::string_view path;
    Answer (*handle)(Engine&, const Incoming&);
};

Answer health(Engine& engine, const Incoming& /*incoming*/) {
    return {engine.shared.healthy ? 200 : 503, {}, {}};
}

constexpr std::array<Route, 13> kRoutes = {{
    {Method::get, "/health", health},
    {Method::get, "/ping", health},
    {Method::post, "/ping", health},
    {Method::get, "/v1/models", [](Engine& e, const Incoming&) { return models(e); }},
    {Method::get, "/metrics", [](Engine& e, const Incoming&) { return metrics(e); }},
    {Method::get, "/version",
     [](Engine& e, const Incoming&) {
         return Answer{200, R"({"version":")" + e.shared.options.version + "\"}"};
     }},
    {Method::get, "/load",
     [](Engine& e, const Incoming&) {
         return Answer{200,
                       R"({"server_load":)" + std::to_string(e.shared.live.ids().size()) + "}"};
     }},
    {Method::get, "/is_sleeping",
     [](Engine& e, const Incoming&) {
         return Answer{200, e.shared.sleep_level > 0 ? R"({"is_sleeping":true})"
                                                     : R"({"is_sleeping":false})"};
     }},
    {Method::post, "/sleep", [](Engine& e, const Incoming& i) { return sleep(e, i.query); }},
    {Method::post, "/wake_up",
     [](Engine& e, const Incoming&) {
         e.shared.sleep_level = 0;
         return Answer{200, {}, {}};
     }},
    {Method::get, "/sim/live", [](Engine& e, const Incoming&) { return live(e); }},
    {Method::get, "/sim/stats", [](Engine& e, const Incoming&) { return stats(e); }},
    {Method::post, "/sim/faults",
     [](Engine& e, const Incoming& i) { return set_faults(e, i.body); }},
}};

}  // namespace

Answer control(Engine& engine, const Incoming& incoming) {
    if (incoming.path.starts_with(kResponses)) {
        return responses(engine, incoming);
    }
    bool known = api_of(incoming.path) != Api::none;
    for (const Route& route : kRoutes) {
        if (route.path == incoming.path) {
            if (route.method == incoming.method) {
                return route.handle(engine, incoming);
            }
            known = true;
        }
    }
    return known ? Answer{405, R"({"detail":"Method Not Allowed"})"} : not_found();
}

Answer accept_background(Engine& engine, const Planned& planned) {
    const Reply& reply = planned.reply;
    const Options& options = engine.shared.options;
    const Duration inter_token =
        planned.batched ? std::chrono::duration_cast<Duration>(
                              std::chrono::duration<double, std::milli>(options.cost.base_ms))
                        : planned.inter_token;
    const Instant done_at = engine.now + planned.ttft + inter_token * reply.tokens;
    engine.shared.responses.put(reply.id,
                                {reply, std::string(planned.request.prompt), done_at, true, false});
    engine.stats.prompt_tokens.add(reply.prompt_tokens);
    engine.stats.generation_tokens.add(reply.tokens);
    Answer answer;
    render_response(reply, engine.texts, "queued", answer.body);
    return answer;
}

}  // namespace millrace::vllm_sim
