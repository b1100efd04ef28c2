// Any bytes as a request head: every cut reads the same, and what is accepted reads the same after
// it was written anew.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "config/base/assert.hpp"
#include "tests/gateway/http1/rewrite.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace millrace::http1;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const HeadLimits limits{.start_line = 256, .header_block = 1024, .fields = 20};
    const test::ExactBuffer buffer(bytes);
    HeadParser whole(limits);
    const auto outcome = test::outcome_of(whole, buffer.view());

    HeadParser stepwise(limits);
    std::optional<test::ExactBuffer> last;
    const auto stepped = test::feed_in_steps(stepwise, bytes, size < 2048 ? 1 : size / 7 + 1, last);
    MILLRACE_ASSERT(stepped == outcome);
    if (outcome.status == ParseStatus::complete) {
        MILLRACE_ASSERT(test::same_head(whole.head(), stepwise.head()));
        // Writing adds a space after each colon and a reason where there was none, so the limits
        // are the defaults.
        HeadParser again;
        const auto written = test::rewrite(whole.head());
        MILLRACE_ASSERT(test::outcome_of(again, written).status == ParseStatus::complete);
        MILLRACE_ASSERT(test::same_head(whole.head(), again.head()));
    }
    return 0;
}
