#include "bench/vllm_sim/request.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "bench/vllm_sim/json_scan.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::array<std::pair<std::string_view, Api>, 19> kPaths = {{
    {"/v1/chat/completions", Api::chat},
    {"/v1/completions", Api::completions},
    {"/v1/responses", Api::responses},
    {"/v1/messages", Api::messages},
    {"/v1/embeddings", Api::embeddings},
    {"/v1/messages/count_tokens", Api::count_tokens},
    {"/v1/rerank", Api::rerank},
    {"/rerank", Api::rerank},
    {"/v2/rerank", Api::rerank},
    {"/v1/score", Api::score},
    {"/score", Api::score},
    {"/v1/classify", Api::classify},
    {"/classify", Api::classify},
    {"/v1/pooling", Api::pooling},
    {"/pooling", Api::pooling},
    {"/v1/audio/transcriptions", Api::transcriptions},
    {"/v1/images/generations", Api::images},
    {"/tokenize", Api::tokenize},
    {"/detokenize", Api::detokenize},
}};

std::unexpected<ApiError> bad_request(std::string message, std::string param = {}) {
    return std::unexpected(ApiError{400, std::move(message), "BadRequestError", std::move(param)});
}

bool is_prompt_key(Api api, std::string_view key) {
    switch (api) {
        case Api::chat:
        case Api::messages:
        case Api::count_tokens: return key == "messages";
        case Api::completions:
        case Api::images: return key == "prompt";
        case Api::tokenize: return key == "prompt" || key == "messages";
        case Api::rerank: return key == "documents";
        case Api::score: return key == "text_2" || key == "data_2";
        case Api::detokenize: return key == "tokens";
        case Api::responses:
        case Api::embeddings:
        case Api::classify:
        case Api::pooling: return key == "input";
        case Api::transcriptions:
        case Api::none: return false;
    }
    return false;
}

std::string_view prompt_key(Api api) {
    for (const std::string_view key :
         {"messages", "prompt", "documents", "text_2", "input", "tokens"}) {
        if (is_prompt_key(api, key)) {
            return key;
        }
    }
    return "prompt";
}

void read_stream_options(ApiRequest& request, std::string_view raw) {
    if (raw == "null") {
        return;
    }
    request.has_stream_options = true;
    request.include_usage = true;  // vLLM's default once the object is there
    ObjectScanner scanner(raw);
    Member member;
    while (scanner.next(member)) {
        if (member.key == "include_usage") {
            request.include_usage = is_true(member.value);
        } else if (member.key == "continuous_usage_stats") {
            request.asks_continuous = true;
            request.continuous_usage = is_true(member.value);
        }
    }
    request.continuous_usage = request.continuous_usage && request.include_usage;
}

/// Name of the first tool: OpenAI nests it in "function", Anthropic and Responses do not.
std::string first_tool(std::string_view tools) {
    const std::size_t at = tools.find('{');
    if (at == std::string_view::npos) {
        return {};
    }
    const std::size_t end = skip_value(tools, at);
    const std::string_view tool = tools.substr(at, end == std::string_view::npos ? 0 : end - at);
    const std::string_view function = member_of(tool, "function");
    return text_of(member_of(function.empty() ? tool : function, "name"));
}

/// A tool is called when the choice forces it: "required" (OpenAI), {"type":"any"} (Anthropic), or
/// a named one.
void read_tool_choice(ApiRequest& request, std::string_view choice, std::string_view tools) {
    if (choice.empty() || tools.empty()) {
        return;
    }
    if (is_string(choice)) {
        if (text_of(choice) == "required") {
            request.tool = first_tool(tools);
        }
        return;
    }
    const std::string type = text_of(member_of(choice, "type"));
    if (type == "any") {
        request.tool = first_tool(tools);
    } else if (type == "function" || type == "tool") {
        const std::string_view function = member_of(choice, "function");
        request.tool = text_of(member_of(function.empty() ? choice : function, "name"));
        request.named_tool = true;
    }
}

std::string read_sim_member(Controls& controls, std::string_view raw) {
    ObjectScanner scanner(raw);
    Member member;
    while (scanner.next(member)) {
        std::ranges::replace(member.key, '_', '-');
        const std::string text =
            is_string(member.value) ? text_of(member.value) : std::string(member.value);
        if (!set_control(controls, member.key, text)) {
            return member.key;
        }
    }
    return scanner.failed() ? "sim" : "";
}

/// Prompts, documents or embedding inputs in one request. An array of numbers is one tokenised
/// prompt.
std::uint32_t count_inputs(Api api, std::string_view prompt) {
    const bool batch = api == Api::completions || api == Api::embeddings || api == Api::classify ||
                       api == Api::pooling || api == Api::rerank || api == Api::score;
    const std::size_t first = prompt.find_first_not_of(" \t\r\n", 1);
    if (!batch || prompt.front() != '[' || first == std::string_view::npos ||
        (prompt[first] >= '0' && prompt[first] <= '9')) {
        return 1;
    }
    return std::max(1U, array_size(prompt));
}

class BodyReader {
public:
    BodyReader(Api api, std::string_view body, Controls controls) : body_(body) {
        request_.api = api;
        request_.controls = std::move(controls);
    }

    std::expected<ApiRequest, ApiError> read() {
        ObjectScanner scanner(body_);
        Member member;
        while (scanner.next(member)) {
            if (!take(member)) {
                return bad_request("Invalid value for '" + member.key + "'.", member.key);
            }
        }
        if (scanner.failed()) {
            return bad_request("The body is not one JSON object.");
        }
        read_tool_choice(request_, tool_choice_, tools_);
        if (request_.prompt.empty()) {
            const std::string key(prompt_key(request_.api));
            return bad_request("Field required: '" + key + "'.", key);
        }
        if (request_.continues && add_generation_prompt_) {
            return bad_request(
                "Cannot set both `continue_final_message` and `add_generation_prompt` to True.");
        }
        request_.inputs = count_inputs(request_.api, request_.prompt);
        return std::move(request_);
    }

private:
    bool take(const Member& member) {
        const std::string_view key = member.key;
        const std::string_view value = member.value;
        if (is_prompt_key(request_.api, key)) {
            request_.prompt = value;
            if (request_.api == Api::tokenize) {
                request_.query_text = text_of(value);
            }
            return true;
        }
        if (value == "null") {
            return true;
        }
        if (key == "model") {
            request_.model = text_of(value);
            return is_string(value);
        }
        if (key == "stream") {
            request_.stream = is_true(value);
            return request_.stream || value == "false";
        }
        if (key == "stream_options") {
            read_stream_options(request_, value);
            return value.front() == '{';
        }
        if (key == "max_tokens" || key == "max_completion_tokens" || key == "max_output_tokens") {
            request_.max_tokens = to_number<std::uint32_t>(value);
            return request_.max_tokens.has_value();
        }
        return take_rare(key, value);
    }

    bool take_rare(std::string_view key, std::string_view value) {
        if (key == "n") {
            request_.n = to_number<std::uint32_t>(value).value_or(0);
            return request_.n >= 1 && request_.n <= 128;
        }
        if (key == "tools") {
            tools_ = value;
        } else if (key == "tool_choice") {
            tool_choice_ = value;
        } else if (key == "store") {
            request_.store = value != "false";
        } else if (key == "background") {
            request_.background = is_true(value);
        } else if (key == "previous_response_id") {
            request_.previous_response_id = text_of(value);
        } else if (key == "query" || key == "text_1") {
            request_.query_text = text_of(value);
        } else if (key == "continue_final_message") {
            request_.continues = request_.api == Api::chat && is_true(value);
        } else if (key == "add_generation_prompt") {
            add_generation_prompt_ = value != "false";
        } else if (key == "sim") {
            return read_sim_member(request_.controls, value).empty();
        }
        return true;
    }

    std::string_view body_;
    std::string_view tools_;
    std::string_view tool_choice_;
    bool add_generation_prompt_ = true;
    ApiRequest request_;
};

/// The `model` part of a multipart body, wherever it stands.
std::expected<ApiRequest, ApiError> parse_multipart(std::string_view body, Controls controls) {
    ApiRequest request;
    request.controls = std::move(controls);
    request.api = Api::transcriptions;
    request.prompt = body;
    std::size_t at = 0;
    while ((at = body.find("name=\"model\"", at)) != std::string_view::npos) {
        const std::size_t value = body.find("\r\n\r\n", at);
        const std::size_t end =
            value == std::string_view::npos ? value : body.find("\r\n", value + 4);
        const bool is_name = at > 0 && (body[at - 1] == ' ' || body[at - 1] == ';');
        if (is_name && end != std::string_view::npos) {
            request.model = body.substr(value + 4, end - value - 4);
            return request;
        }
        ++at;
    }
    return bad_request("Field required: 'model'.", "model");
}

}  // namespace

Api api_of(std::string_view path) {
    const auto found =
        std::ranges::find(kPaths, path, [](const auto& entry) { return entry.first; });
    return found == kPaths.end() ? Api::none : found->second;
}

std::expected<ApiRequest, ApiError> parse_request(Api api, std::string_view body,
                                                  Controls from_headers) {
    return api == Api::transcriptions ? parse_multipart(body, std::move(from_headers))
                                      : BodyReader(api, body, std::move(from_headers)).read();
}

}  // namespace millrace::vllm_sim
