// A stream that breaks off and another that goes on, both of arbitrary bytes: the next request is
// valid JSON that ends with all that was said, what the client gets are whole events, and nothing
// depends on how the bytes were cut.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "gateway/openai/continuation.hpp"
#include "gateway/openai/stream_filter.hpp"

namespace {

using millrace::metrics::Dialect;
using millrace::openai::BodyEdit;
using millrace::openai::Continuation;
using millrace::openai::ShowUsage;
using millrace::openai::StreamFilter;

constexpr std::string_view kBody =
    R"({"model":"m","stream":true,"max_tokens":900,"messages":[{"role":"user","content":"hi"}]})";

void require(bool condition, const char* what, std::string_view stream) {
    if (!condition) {
        std::cerr << "violated: " << what << "\nstream: " << stream << '\n';
        std::abort();
    }
}

std::string relay(StreamFilter& filter, std::string_view stream, std::size_t piece) {
    std::string output;
    std::vector<std::string_view> out;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        const std::string bytes(stream.substr(at, piece));
        filter.feed(bytes, out);
        for (const auto view : out) {
            output += view;
        }
        out.clear();
    }
    return output;
}

struct Seen {
    std::string next_request;
    std::string second;
    std::string ending;
    bool operator==(const Seen&) const = default;
};

Seen run(std::string_view first, std::string_view second, ShowUsage show, std::size_t piece) {
    Seen seen;
    millrace::openai::RequestFields fields;
    fields.max_tokens = 900;
    Continuation continuation;
    StreamFilter broken(Dialect::chat, show);
    broken.join(continuation);
    relay(broken, first, piece);
    seen.ending = broken.ending();
    if (!continuation.break_off(broken.facts(), fields, kBody)) {
        return seen;
    }
    if (continuation.goes_on()) {
        BodyEdit edit;
        continuation.edit(edit);
        seen.next_request = edit.apply(kBody);
    }
    StreamFilter other(Dialect::chat, show);
    other.join(continuation);
    seen.second = relay(other, second, piece);
    return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view stream(reinterpret_cast<const char*>(data), size);
    const auto cut = std::min(stream.find('\1'), size / 2);
    const auto first = stream.substr(0, cut);
    const auto second = stream.substr(cut);
    for (const auto show : {ShowUsage::nothing, ShowUsage::final_only, ShowUsage::everything}) {
        const auto whole = run(first, second, show, size + 1);
        for (const std::size_t piece : {1UL, 3UL, 64UL}) {
            require(run(first, second, show, piece) == whole, "pieces agree", stream);
        }
        if (!whole.next_request.empty()) {
            const auto request = nlohmann::json::parse(whole.next_request, nullptr, false);
            require(request.is_object() && request["messages"].size() == 2 &&
                        request["messages"][1]["content"].is_string(),
                    "the next request is valid", stream);
        }
        require(whole.ending.empty() || whole.ending.ends_with("data: [DONE]\n\n"),
                "an ending has its marker", stream);
    }
    return 0;
}
