// The stream filter on arbitrary bytes: pieces never change the output or the facts, `everything`
// forwards every byte, and the other modes only ever leave bytes out (or write null for a usage
// object).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/openai/stream_filter.hpp"
#include "metrics/tokens/response_usage.hpp"

namespace {

using millrace::metrics::Dialect;
using millrace::openai::ShowUsage;
using millrace::openai::StreamFilter;

void require(bool condition, const char* what, std::string_view stream) {
    if (!condition) {
        std::cerr << "violated: " << what << "\nstream: " << stream << '\n';
        std::abort();
    }
}

struct Relayed {
    std::string output;
    std::vector<std::uint64_t> facts;

    bool operator==(const Relayed&) const = default;
};

Relayed relay(std::string_view stream, Dialect dialect, ShowUsage show, std::size_t piece) {
    StreamFilter filter(dialect, show);
    Relayed result;
    std::vector<std::string_view> out;
    const auto take = [&] {
        for (const std::string_view view : out) {
            result.output += view;
        }
        out.clear();
    };
    for (std::size_t at = 0; at < stream.size(); at += piece) {
        const std::string bytes(stream.substr(at, piece));
        filter.feed(bytes, out);
        take();
    }
    filter.finish(true, out);
    take();
    const auto& facts = filter.facts();
    result.facts = {facts.events,
                    facts.forwarded_events,
                    facts.content_events,
                    facts.unread_events,
                    facts.choices.size(),
                    facts.saw_terminal ? 1U : 0U,
                    facts.error ? 1U : 0U,
                    facts.final_usage ? facts.final_usage->completion.value_or(1) + 1 : 0U,
                    static_cast<std::uint64_t>(filter.first_event())};
    for (const auto& choice : facts.choices) {
        result.facts.push_back(choice.deltas);
        result.facts.push_back(choice.completion.value_or(0));
    }
    return result;
}

/// `part` is `whole` with bytes left out.
bool is_subsequence(std::string_view part, std::string_view whole) {
    std::size_t at = 0;
    for (const char byte : whole) {
        at += at < part.size() && part[at] == byte ? 1 : 0;
    }
    return at == part.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view stream(reinterpret_cast<const char*>(data), size);
    for (const Dialect dialect :
         {Dialect::chat, Dialect::completions, Dialect::responses, Dialect::messages}) {
        for (const ShowUsage show :
             {ShowUsage::nothing, ShowUsage::final_only, ShowUsage::everything}) {
            const Relayed whole = relay(stream, dialect, show, stream.size() + 1);
            for (const std::size_t piece : {1UL, 2UL, 5UL, 100UL}) {
                require(relay(stream, dialect, show, piece) == whole, "pieces agree", stream);
            }
            const bool untouched = show == ShowUsage::everything || dialect == Dialect::responses ||
                                   dialect == Dialect::messages;
            require(!untouched || whole.output == stream, "untouched means untouched", stream);
            require(show != ShowUsage::nothing || is_subsequence(whole.output, stream),
                    "bytes are only left out", stream);
        }
        millrace::metrics::ResponseUsage in_one(dialect);
        in_one.feed(stream);
        millrace::metrics::ResponseUsage bytewise(dialect);
        for (const char& byte : stream) {
            bytewise.feed(std::string_view(&byte, 1));
        }
        require(in_one.finish() == bytewise.finish() && in_one.id() == bytewise.id() &&
                    in_one.usage() == bytewise.usage(),
                "response usage does not depend on pieces", stream);
    }
    return 0;
}
