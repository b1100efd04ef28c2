// Any bytes as an upstream response head; the first byte says whether it answers HEAD. Same
// properties as head_fuzz.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/base/assert.hpp"
#include "tests/gateway/http1/rewrite.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace millrace::http1;
    if (size == 0) {
        return 0;
    }
    const bool to_head = data[0] == 'h';
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const test::ExactBuffer buffer(bytes);
    ResponseParser whole;
    whole.reset(to_head);
    const auto outcome = test::outcome_of(whole, buffer.view());

    ResponseParser stepwise;
    stepwise.reset(to_head);
    std::optional<test::ExactBuffer> last;
    const auto stepped = test::feed_in_steps(stepwise, bytes, size < 2048 ? 1 : size / 7 + 1, last);
    MILLRACE_ASSERT(stepped == outcome);
    if (outcome.status == ParseStatus::complete) {
        MILLRACE_ASSERT(test::same_head(whole.head(), stepwise.head()));
        ResponseParser again({.header_block = 64 * 1024});
        again.reset(to_head);
        const auto written = test::rewrite(whole.head());
        MILLRACE_ASSERT(test::outcome_of(again, written).status == ParseStatus::complete);
        MILLRACE_ASSERT(test::same_head(whole.head(), again.head()));
    }
    return 0;
}
