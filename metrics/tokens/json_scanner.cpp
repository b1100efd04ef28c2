// How it works. Per block of 64 bytes the kernel gives masks of quotes, backslashes and brackets;
// quotes that are escaped are removed and a prefix xor of the rest marks the bytes inside strings.
// Below the reported level only brackets are visited (a block inside a long string costs one
// comparison); at it, every token drives a small state machine. What crosses a block boundary is
// one bit "inside a string" and one bit "the next byte is escaped".
#include "metrics/tokens/json_scanner.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <string>

#include "config/base/assert.hpp"
#include "metrics/tokens/json_kernel.hpp"

namespace millrace::metrics {
namespace {

std::atomic<bool> force_portable{false};

bool has_avx2() {
#if defined(__x86_64__)
    static const bool found = __builtin_cpu_supports("avx2") != 0 &&
                              __builtin_cpu_supports("pclmul") != 0 &&
                              __builtin_cpu_supports("bmi") != 0;
    return found;
#else
    return false;
#endif
}

/// Marks the bytes that follow an odd run of backslashes (simdjson, Keiser and Lemire). `carry`
/// links the blocks; the block has `size` valid bytes.
inline std::uint64_t find_escaped(std::uint64_t backslash, bool& carry, std::size_t size) {
    const std::uint64_t carried = carry ? 1U : 0U;
    if (backslash == 0) {
        carry = false;
        return carried;
    }
    constexpr std::uint64_t kOdd = 0xAAAAAAAAAAAAAAAAULL;
    const std::uint64_t candidates = backslash & ~carried;
    const std::uint64_t ends = (((candidates << 1U) | kOdd) - candidates) ^ kOdd;
    carry = ((ends & backslash) >> (size - 1) & 1U) != 0;
    return ends ^ (backslash | carried);
}

/// The same carry for a block that lies wholly inside a string, where nobody needs the mask.
inline bool ends_escaped(const char* block, std::size_t size, bool carry) {
    std::size_t run = 0;
    while (run < size && block[size - 1 - run] == '\\') {
        ++run;
    }
    if (run == size && carry) {
        --run;  // its first backslash is itself escaped
    }
    return run % 2 != 0;
}

constexpr bool is_closing(char bracket) {
    return (bracket & 4) != 0;
}
constexpr std::uint64_t is_square(char bracket) {
    return (bracket & 0x20) == 0 ? 1U : 0U;
}

}  // namespace

struct JsonScanner::Loop {
    JsonScanner& scan;
    JsonHandler& handler;

    template <class Kernel>
    [[gnu::always_inline]] bool run(std::string_view bytes) const {
        const char* at = bytes.data();
        std::size_t left = bytes.size();
        for (; left >= kBlock; at += kBlock, left -= kBlock) {
            if (!block<Kernel>(at, kBlock)) {
                return false;
            }
        }
        if (left > 0) {
            std::array<char, kBlock> padded{};
            padded.fill(' ');
            std::memcpy(padded.data(), at, left);
            return block<Kernel>(padded.data(), left);
        }
        return true;
    }

    template <class Kernel>
    [[gnu::always_inline]] bool block(const char* at, std::size_t size) const {
        std::uint64_t quotes = Kernel::equal(at, '"');
        if (scan.in_string_ && quotes == 0) {
            scan.next_escaped_ = at[size - 1] == '\\' && ends_escaped(at, size, scan.next_escaped_);
            scan.consumed_ += size;
            return true;
        }
        quotes &= ~find_escaped(Kernel::equal(at, '\\'), scan.next_escaped_, size);
        const std::uint64_t inside =
            Kernel::prefix_xor(quotes) ^ (scan.in_string_ ? ~std::uint64_t{0} : 0);
        scan.in_string_ = (inside >> (size - 1) & 1U) != 0;
        if (scan.watch_ != '\0') {
            watch<Kernel>(at, size, quotes & inside);
        }
        const std::uint64_t brackets = Kernel::brackets(at) & ~inside;
        if (!visit<Kernel>(at, size, quotes, inside, brackets)) {
            return false;
        }
        scan.consumed_ += size;
        return true;
    }

    template <class Kernel>
    [[gnu::always_inline]] void watch(const char* at, std::size_t size,
                                      std::uint64_t opening) const {
        if (opening == 0) {
            return;
        }
        // A quote at the block's end is reported without looking: its first character is not here.
        const std::uint64_t last = std::uint64_t{1} << (size - 1);
        std::uint64_t hits = opening & (Kernel::equal(at, scan.watch_) >> 1U | last);
        for (; hits != 0; hits &= hits - 1) {
            handler.on_watched(scan.consumed_ + static_cast<std::size_t>(std::countr_zero(hits)));
        }
    }

    template <class Kernel>
    [[gnu::always_inline]] bool visit(const char* at, std::size_t size, std::uint64_t quotes,
                                      std::uint64_t inside, std::uint64_t brackets) const {
        std::uint64_t tokens = 0;
        bool have_tokens = false;
        std::uint64_t todo = ~std::uint64_t{0};
        for (;;) {
            if (scan.depth_ > scan.level_) {
                std::uint64_t hits = brackets & todo;
                if (!skip_nested(at, hits)) {
                    return false;
                }
                if (scan.depth_ > scan.level_) {
                    return true;
                }
                todo = ~((hits & (~hits + 1)) * 2 - 1);  // behind the bracket that closed the value
            }
            if (!have_tokens) {
                tokens = tokens_of<Kernel>(at, size, quotes, inside, brackets);
                have_tokens = true;
            }
            const std::uint64_t hits = tokens & todo;
            if (hits == 0) {
                return true;
            }
            const auto i = static_cast<unsigned>(std::countr_zero(hits));
            todo = (~std::uint64_t{1}) << i;
            if (!scan.step(at[i], scan.consumed_ + i, handler)) {
                return false;
            }
        }
    }

    /// Everything that can change the state at the reported level: brackets, separators, quotes,
    /// edges of scalars.
    template <class Kernel>
    [[gnu::always_inline]] std::uint64_t tokens_of(const char* at, std::size_t size,
                                                   std::uint64_t quotes, std::uint64_t inside,
                                                   std::uint64_t brackets) const {
        const std::uint64_t operators = brackets | (Kernel::separators(at) & ~inside);
        const std::uint64_t scalar = ~(operators | inside | quotes | Kernel::space(at));
        const std::uint64_t before = scan.state_ == State::in_scalar ? 1U : 0U;
        const std::uint64_t edges = scalar ^ (scalar << 1U | before);
        const std::uint64_t valid =
            size == kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1;
        return (operators | quotes | edges) & valid;
    }

    /// Brackets below the reported level, in order, until the value closes; then the lowest bit of
    /// `hits` is the bracket that closed it. Works on copies, because this loop decides the speed
    /// of bodies with many small messages.
    [[gnu::always_inline]] bool skip_nested(const char* at, std::uint64_t& hits) const {
        unsigned depth = scan.depth_;
        std::uint64_t kinds = scan.kinds_;
        const unsigned level = scan.level_;
        const unsigned max_depth = scan.max_depth_;
        std::uint64_t left = hits;
        for (; left != 0; left &= left - 1) {
            const auto i = static_cast<unsigned>(std::countr_zero(left));
            const char bracket = at[i];
            if (!is_closing(bracket)) {
                if (depth == max_depth) {
                    return scan.fail(Errc::json_too_deep, scan.consumed_ + i);
                }
                kinds = kinds << 1U | is_square(bracket);
                ++depth;
                continue;
            }
            if ((kinds & 1U) != is_square(bracket)) {
                return scan.fail(Errc::bad_json, scan.consumed_ + i);
            }
            kinds >>= 1U;
            if (--depth == level) {
                break;
            }
        }
        scan.depth_ = depth;
        scan.kinds_ = kinds;
        hits = left;
        return left == 0 ||
               scan.end_value(scan.consumed_ + static_cast<unsigned>(std::countr_zero(left)) + 1,
                              handler);
    }

#if defined(__x86_64__)
    MILLRACE_AVX2 bool run_avx2(std::string_view bytes) const { return run<Avx2Kernel>(bytes); }
#endif
    bool run_portable(std::string_view bytes) const { return run<PortableKernel>(bytes); }
};

JsonScanner::JsonScanner(unsigned max_depth, char watch) : max_depth_(max_depth), watch_(watch) {
    MILLRACE_ASSERT(max_depth >= 1 && max_depth <= kMaxDepth);
}

void JsonScanner::use_portable_kernel(bool portable) {
    force_portable.store(portable, std::memory_order_relaxed);
}

Result<void> JsonScanner::feed(std::string_view bytes, JsonHandler& handler) {
    if (bytes.empty()) {
        return {};
    }
    const Loop loop{*this, handler};
    bool ok = false;
#if defined(__x86_64__)
    if (has_avx2() && !force_portable.load(std::memory_order_relaxed)) {
        ok = state_ != State::failed && loop.run_avx2(bytes);
    } else {
        ok = state_ != State::failed && loop.run_portable(bytes);
    }
#else
    ok = state_ != State::failed && loop.run_portable(bytes);
#endif
    if (ok) {
        return {};
    }
    if (failure_ == Errc::json_too_deep) {
        return failure(failure_, Origin::downstream,
                       "The JSON nests deeper than the limit of " + std::to_string(max_depth_) +
                           " levels at byte " + std::to_string(failed_at_) + ".");
    }
    return failure(failure_, Origin::downstream,
                   "The body is not one valid JSON object: unexpected byte at offset " +
                       std::to_string(failed_at_) + ".");
}

Result<void> JsonScanner::finish() const {
    if (state_ == State::done) {
        return {};
    }
    return failure(Errc::bad_json, Origin::downstream,
                   "The body is not one valid JSON object: it ends after " +
                       std::to_string(consumed_) + " bytes inside an unfinished value.");
}

std::size_t JsonScanner::open_token() const {
    const bool in_value =
        state_ == State::in_string || state_ == State::in_scalar || state_ == State::in_nested;
    if (state_ == State::in_key || (in_value && action_ != JsonHandler::Key::skip)) {
        return token_;
    }
    return kNone;
}

bool JsonScanner::fail(Errc code, std::size_t at) {
    state_ = State::failed;
    failure_ = code;
    failed_at_ = at;
    return false;
}

bool JsonScanner::end_value(std::size_t end, JsonHandler& handler) {
    state_ = State::comma_or_end;
    if (action_ == JsonHandler::Key::skip || handler.on_value(kind_, token_, end, level_)) {
        return true;
    }
    return fail(Errc::bad_json, token_);
}

bool JsonScanner::begin_value(char byte, std::size_t at) {
    token_ = at;
    switch (byte) {
        case '"':
            kind_ = JsonKind::string;
            state_ = State::in_string;
            return true;
        case '{':
        case '[': break;
        case '}':
        case ']':
        case ',':
        case ':': return fail(Errc::bad_json, at);
        default:
            kind_ = JsonKind::scalar;
            state_ = State::in_scalar;
            return true;
    }
    if (depth_ == max_depth_) {
        return fail(Errc::json_too_deep, at);
    }
    ++depth_;
    kinds_ = kinds_ << 1U | is_square(byte);
    kind_ = byte == '{' ? JsonKind::object : JsonKind::array;
    state_ = State::in_nested;
    if (action_ == JsonHandler::Key::descend && kind_ == JsonKind::object) {
        level_ = depth_;
        state_ = State::key_or_end;
    }
    return true;
}

bool JsonScanner::end_object() {
    // At the reported level the innermost bracket is always an object's.
    kinds_ >>= 1U;
    --depth_;
    if (level_ > 1) {
        --level_;
        state_ = State::comma_or_end;
    } else {
        state_ = State::done;
    }
    return true;
}

bool JsonScanner::step(char byte, std::size_t at, JsonHandler& handler) {
    if (state_ == State::in_scalar) {
        if (!end_value(at, handler)) {
            return false;
        }
        if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t') {
            return true;
        }
    }
    switch (state_) {
        case State::start:
            if (byte != '{') {
                return fail(Errc::bad_json, at);
            }
            depth_ = 1;
            object_start_ = at + 1;
            state_ = State::key_or_end;
            return true;
        case State::key_or_end:
        case State::key:
            if (byte == '"') {
                token_ = at + 1;
                state_ = State::in_key;
                return true;
            }
            return byte == '}' && state_ == State::key_or_end ? end_object()
                                                              : fail(Errc::bad_json, at);
        case State::in_key:
            action_ = handler.on_key(token_, at, level_);
            state_ = State::colon;
            return action_ != JsonHandler::Key::stop || fail(Errc::bad_json, at);
        case State::colon: state_ = State::value; return byte == ':' || fail(Errc::bad_json, at);
        case State::value: return begin_value(byte, at);
        case State::in_string: return end_value(at + 1, handler);
        case State::comma_or_end:
            if (byte == ',') {
                state_ = State::key;
                return true;
            }
            return byte == '}' ? end_object() : fail(Errc::bad_json, at);
        default: return fail(Errc::bad_json, at);
    }
}

}  // namespace millrace::metrics
