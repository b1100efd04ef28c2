// Any bytes as a chunked body; the first byte chooses the origin. Every cut gives the same payload,
// and an accepted payload survives being chunked again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/assert.hpp"
#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/serializer.hpp"
#include "tests/gateway/http1/rewrite.hpp"

namespace {

using namespace millrace;
using namespace millrace::http1;

struct Decoded {
    bool ok = true;
    bool done = false;
    std::size_t consumed = 0;
    std::string payload{};
    bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, std::size_t step, Origin origin) {
    ChunkDecoder decoder(origin);
    Decoded out;
    while (out.consumed < bytes.size() && !decoder.done()) {
        const test::ExactBuffer piece(bytes.substr(out.consumed, step));
        const auto used =
            decoder.decode(piece.view(), [&](std::string_view payload) { out.payload += payload; });
        if (!used) {
            return {.ok = false};
        }
        MILLRACE_ASSERT(decoder.done() || *used == piece.view().size());
        out.consumed += *used;
    }
    out.done = decoder.done();
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const Origin origin = data[0] == 'u' ? Origin::upstream : Origin::downstream;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = decode(bytes, bytes.size(), origin);
    MILLRACE_ASSERT(decode(bytes, 1, origin) == whole);
    MILLRACE_ASSERT(decode(bytes, 7, origin) == whole);
    if (whole.done) {
        std::string again;
        if (!whole.payload.empty()) {
            again += ChunkHeader(whole.payload.size()).view();
            again += whole.payload;
            again += kChunkEnd;
        }
        again += kLastChunk;
        const auto second = decode(again, again.size(), origin);
        MILLRACE_ASSERT(second.done && second.payload == whole.payload);
    }
    return 0;
}
