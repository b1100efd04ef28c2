#include "gateway/openai/models_list.hpp"

#include <algorithm>

#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

void append_model(std::string& out, const ModelEntry& model) {
    out += "{\"id\":";
    metrics::append_json_string(out, model.id);
    out += ",\"object\":\"model\",\"created\":";
    metrics::append_uint(out, static_cast<std::uint64_t>(std::max<std::int64_t>(model.created, 0)));
    out += ",\"owned_by\":";
    metrics::append_json_string(out, model.owned_by);
    out += '}';
}

}  // namespace

std::string models_list_body(std::span<const ModelEntry> models) {
    std::string out = "{\"object\":\"list\",\"data\":[";
    for (const ModelEntry& model : models) {
        out += out.back() == '[' ? "" : ",";
        append_model(out, model);
    }
    out += "]}";
    return out;
}

std::string model_body(const ModelEntry& model) {
    std::string out;
    append_model(out, model);
    return out;
}

}  // namespace millrace::openai
