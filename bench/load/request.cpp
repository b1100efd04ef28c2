#include "bench/load/request.hpp"

#include <algorithm>
#include <array>

namespace millrace::load {
namespace {

constexpr std::size_t kMessageText = 2000;
constexpr std::string_view kMessageOpen = R"({"role":"user","content":")";
constexpr std::string_view kMessageClose = R"("})";
constexpr std::size_t kMessageFrame = kMessageOpen.size() + kMessageClose.size() + 1;  // a comma

constexpr std::array<std::string_view, 6> kSentences = {
    R"(The mill stands where the river narrows and its wheel has turned for three hundred years. )",
    R"(Please compare the two drafts below, list every claim that differs, and say which is \"better\" and why.\n)",
    R"(Each request carries a budget in tokens, and the ledger must balance to the last one of them. )",
    R"(She asked: \"How many sacks fit through the gate in an hour?\" Nobody had ever counted them. )",
    R"(Use only what the text says; where it is silent, answer that you do not know.\n\n)",
    R"(Water that leaves the race too early is lost, and water that comes too late breaks the wheel. )"};

/// Whole sentences, so that no escape is cut; the rest is filled with letters.
void append_prose(std::string& out, std::size_t bytes, std::size_t first) {
    const std::size_t end = out.size() + bytes;
    for (std::size_t i = first; out.size() + kSentences[i % kSentences.size()].size() <= end; ++i) {
        out += kSentences[i % kSentences.size()];
    }
    out.append(end - out.size(), 'm');
}

}  // namespace

std::string build_body(std::string_view model, std::uint32_t bytes, bool model_first, bool stream) {
    const std::string named = R"("model":")" + std::string(model) + '"';
    const std::string rest = stream ? R"("stream":true)" : R"("temperature":0.2)";
    const std::string open =
        model_first ? "{" + named + "," + rest + R"(,"messages":[)" : R"({"messages":[)";
    const std::string close = model_first ? "]}" : "]," + rest + "," + named + "}";
    std::string body = open;
    const std::size_t wanted =
        std::max<std::size_t>(bytes, open.size() + close.size() + kMessageFrame - 1);
    std::size_t left = wanted - open.size() - close.size() + 1;  // the first comma is not written
    for (std::size_t i = 0; left > 0; ++i) {
        std::size_t text = std::min(kMessageText, left - kMessageFrame);
        if (left - text - kMessageFrame < kMessageFrame) {
            text = left - kMessageFrame;
        }
        body += i == 0 ? "" : ",";
        body += kMessageOpen;
        append_prose(body, text, i);
        body += kMessageClose;
        left -= text + kMessageFrame;
    }
    return body + close;
}

RequestTemplate::RequestTemplate(const Options& options, bool stream)
    : body_(build_body(options.model, options.body_bytes, options.model_first, stream)),
      id_prefix_(options.id_prefix),
      sticky_header_(options.sticky_header),
      sticky_keys_(options.sticky_keys) {
    const auto line = [this](std::string_view name, const std::string& value) {
        fixed_.append(name).append(": ").append(value).append("\r\n");
    };
    fixed_ = "POST /v1/chat/completions HTTP/1.1\r\n";
    line("host", options.host + ":" + std::to_string(options.port));
    line("user-agent", "millrace-load");
    line("accept", stream ? "text/event-stream" : "application/json");
    line("content-type", "application/json");
    line("content-length", std::to_string(body_.size()));
    if (options.model_header) {
        line("x-model-id", options.model);
    }
    if (stream) {
        line("x-sim-tokens", std::to_string(options.tokens));
        line("x-sim-inter-token-ms", std::to_string(options.inter_token_ms));
        line("x-sim-ttft-ms", std::to_string(options.ttft_ms));
    }
    for (const std::string& header : options.headers) {
        fixed_ += header + "\r\n";
    }
    whole_ = fixed_ + "\r\n";
}

std::string RequestTemplate::id(std::uint64_t serial) const {
    const std::string middle = sticky_keys_ == 0 ? "-" : "-k" + std::to_string(key(serial)) + "-";
    return id_prefix_ + middle + std::to_string(serial);
}

std::string_view RequestTemplate::head(std::uint64_t serial, std::string& out) const {
    if (id_prefix_.empty() && sticky_keys_ == 0) {
        return whole_;
    }
    out = fixed_;
    if (!id_prefix_.empty()) {
        out.append("x-request-id: ").append(id(serial)).append("\r\n");
    }
    if (sticky_keys_ > 0) {
        out.append(sticky_header_).append(": key-").append(std::to_string(key(serial)));
        out.append("\r\n");
    }
    out += "\r\n";
    return out;
}

}  // namespace millrace::load
