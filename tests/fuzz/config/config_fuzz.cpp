// Any bytes as the configuration, and as the manifest that a small configuration names. Whatever
// comes: no crash, every problem has a place inside the file, a snapshot exists exactly when there
// is no error, and loading is repeatable.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/assert.hpp"
#include "config/load.hpp"

namespace {

using namespace millrace::config;

constexpr std::string_view kAroundManifest =
    "routes: {manifests: [m.yaml]}\nbackends: {vllm: {endpoints: {static: ['http://a']}}}\n";

Sources sources(std::string document, std::string manifest) {
    return {
        [=](const std::string& path) -> std::optional<std::string> {
            if (path == "c.yaml") {
                return document;
            }
            return path == "m.yaml" ? std::optional(manifest) : std::nullopt;
        },
        [](const std::string& pattern) { return std::vector{pattern}; },
        [](const std::string& name) { return std::optional(name); },
    };
}

void check(const Sources& from, std::string_view input) {
    const auto result = load("c.yaml", from);
    const auto lines = static_cast<int>(std::ranges::count(input, '\n')) + 3;
    bool errors = false;
    for (const auto& problem : result.problems) {
        errors |= problem.severity == Severity::error;
        MILLRACE_ASSERT(problem.line >= 0 && problem.line <= lines);
        MILLRACE_ASSERT(problem.column >= 0 && !problem.message.empty());
        const auto text = to_string(problem);
        MILLRACE_ASSERT(text.find('\n') == std::string::npos);
    }
    MILLRACE_ASSERT(errors == !result.loaded);
    const auto again = load("c.yaml", from);
    MILLRACE_ASSERT(again.problems.size() == result.problems.size());
    MILLRACE_ASSERT(!result.loaded || *again.loaded == *result.loaded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    check(sources(input, input), input);
    check(sources(std::string(kAroundManifest), input), input);
    return 0;
}
