#include "gateway/http1/body_decoder.hpp"

#include <algorithm>
#include <utility>

namespace millrace::http1 {

Result<void> BodyDecoder::decode(std::string_view& input, std::vector<std::string_view>& pieces) {
    switch (kind_) {
        case BodyKind::none: break;
        case BodyKind::length: {
            const auto size = std::min<std::uint64_t>(remaining_, input.size());
            if (size > 0) {
                pieces.push_back(input.substr(0, size));
                input.remove_prefix(size);
                remaining_ -= size;
            }
            break;
        }
        case BodyKind::chunked: {
            auto used = chunks_.decode(
                input, [&pieces](std::string_view piece) { pieces.push_back(piece); });
            if (!used) {
                return std::unexpected(std::move(used.error()));
            }
            input.remove_prefix(*used);
            break;
        }
        case BodyKind::until_close:
            if (!input.empty()) {
                pieces.push_back(input);
                input = {};
            }
            break;
    }
    return {};
}

bool BodyDecoder::is_complete(bool ended) const {
    switch (kind_) {
        case BodyKind::none: return true;
        case BodyKind::length: return remaining_ == 0;
        case BodyKind::chunked: return chunks_.done();
        case BodyKind::until_close: return ended;
    }
    return true;
}

}  // namespace millrace::http1
