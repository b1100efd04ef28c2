// Takes the body of one response out of the bytes that follow its head, whatever its framing: views
// into them, nothing is copied or kept. Thread-safety: none; one per response. Sizes are bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/base/error.hpp"
#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/framing.hpp"

namespace millrace::http1 {

class BodyDecoder {
public:
    /// Of an empty body.
    BodyDecoder() = default;
    explicit BodyDecoder(const Framing& framing)
        : kind_(framing.kind), remaining_(framing.content_length) {}

    /// Removes what belongs to the body from the front of `input` and appends the payload to
    /// `pieces`, as views. Fails with bad_chunk; the pieces before the mistake are good.
    Result<void> decode(std::string_view& input, std::vector<std::string_view>& pieces);

    /// Nothing of the body is missing; `ended`: the peer has closed its direction.
    bool is_complete(bool ended) const;

private:
    BodyKind kind_ = BodyKind::none;
    std::uint64_t remaining_ = 0;  // of a body with a length
    ChunkDecoder chunks_{Origin::upstream};
};

}  // namespace millrace::http1
