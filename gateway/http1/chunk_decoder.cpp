#include "gateway/http1/chunk_decoder.hpp"

#include <algorithm>
#include <string>

#include "config/base/percent.hpp"
#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

constexpr std::uint8_t kMostDigits = 16;
constexpr std::uint64_t kLargestChunk = 0xffffffffU;
constexpr const char* kCrLf = "has a line that does not end in CRLF";
constexpr const char* kBadExtension = "has a malformed chunk extension";

}  // namespace

Error ChunkDecoder::error(const char* what) const {
    return {Errc::bad_chunk, origin_, std::string("The chunked body ") + what + "."};
}

Result<std::string_view> ChunkDecoder::next(std::string_view& input) {
    while (!input.empty() && state_ != State::done) {
        if (state_ == State::data) {
            const auto piece = input.substr(
                0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size())));
            input.remove_prefix(piece.size());
            remaining_ -= piece.size();
            if (remaining_ == 0) {
                state_ = State::data_cr;
            }
            return piece;
        }
        if (const char* problem = step(input.front())) {
            return std::unexpected(error(problem));
        }
        input.remove_prefix(1);
    }
    return std::string_view{};
}

const char* ChunkDecoder::step(char c) {
    ++overhead_;
    switch (state_) {
        case State::size_start:
        case State::size: return step_size(c);
        case State::size_lf: return c == '\n' ? end_of_size_line() : kCrLf;
        case State::data_cr:
            state_ = State::data_lf;
            return c == '\r' ? nullptr : "has a chunk whose size is not the size of its data";
        case State::data_lf: state_ = State::size_start; return c == '\n' ? nullptr : kCrLf;
        case State::trailer_start:
        case State::trailer_name:
        case State::trailer_value:
        case State::trailer_lf:
        case State::end_lf: return step_trailer(c);
        default: return step_extension(c);
    }
}

const char* ChunkDecoder::step_size(char c) {
    if (const int digit = hex_value(c); digit >= 0) {
        if (state_ == State::size_start) {
            size_digits_ = 0;
            extension_ = 0;
            remaining_ = 0;
            state_ = State::size;
        }
        remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
        if (++size_digits_ > kMostDigits || remaining_ > kLargestChunk) {
            return "has a chunk size of more than 8 hexadecimal digits";
        }
        return nullptr;
    }
    if (state_ == State::size && c == '\r') {
        state_ = State::size_lf;
        return nullptr;
    }
    if (state_ == State::size && c == ';') {
        return step_extension(c);
    }
    return "has a chunk size that is not hexadecimal";
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] ), without the whitespace that RFC
// 9112 tolerates.
const char* ChunkDecoder::step_extension(char c) {
    if (++extension_ > limits_.extension && c != '\r') {
        return "has chunk extensions over their limit";
    }
    switch (state_) {
        case State::extension_quoted:
            if (c == '"') {
                state_ = State::extension_quote_end;
            } else if (c == '\\') {
                state_ = State::extension_escape;
            }
            return is_control(c) ? kBadExtension : nullptr;
        case State::extension_escape:
            state_ = State::extension_quoted;
            return is_control(c) ? kBadExtension : nullptr;
        case State::extension_name_start:
            state_ = State::extension_name;
            return is_token_char(c) ? nullptr : kBadExtension;
        case State::extension_value_start:
            state_ = c == '"' ? State::extension_quoted : State::extension_token;
            return c == '"' || is_token_char(c) ? nullptr : kBadExtension;
        default: break;  // after the size, a name or a value
    }
    if (c == ';') {
        state_ = State::extension_name_start;
    } else if (c == '\r') {
        state_ = State::size_lf;
    } else if (c == '=' && state_ == State::extension_name) {
        state_ = State::extension_value_start;
    } else if (state_ == State::extension_quote_end || !is_token_char(c)) {
        return kBadExtension;
    }
    return nullptr;
}

const char* ChunkDecoder::end_of_size_line() {
    if (remaining_ == 0) {
        state_ = State::trailer_start;
        return nullptr;
    }
    announced_ += remaining_;
    state_ = State::data;
    if (origin_ != Origin::upstream &&
        overhead_ > std::max(limits_.overhead_floor, announced_ / 2)) {
        return "is mostly chunk framing; send larger chunks";
    }
    return nullptr;
}

const char* ChunkDecoder::step_trailer(char c) {
    if (++trailers_ > limits_.trailers) {
        return "has a trailer section over its limit";
    }
    switch (state_) {
        case State::trailer_start:
            state_ = c == '\r' ? State::end_lf : State::trailer_name;
            return c == '\r' || is_token_char(c) ? nullptr : "has a malformed trailer";
        case State::trailer_name:
            if (c == ':') {
                state_ = State::trailer_value;
                return nullptr;
            }
            return is_token_char(c) ? nullptr : "has a malformed trailer";
        case State::trailer_value:
            if (c == '\r') {
                state_ = State::trailer_lf;
                return nullptr;
            }
            return is_control(c) ? "has a control byte in a trailer" : nullptr;
        case State::trailer_lf: state_ = State::trailer_start; return c == '\n' ? nullptr : kCrLf;
        default: state_ = State::done; return c == '\n' ? nullptr : kCrLf;
    }
}

void ChunkDecoder::reset() {
    *this = ChunkDecoder(origin_, limits_);
}

}  // namespace millrace::http1
