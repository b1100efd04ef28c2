#include "metrics/tokens/response_usage.hpp"

#include <utility>

#include "metrics/tokens/json_text.hpp"

namespace millrace::metrics {
namespace {

constexpr std::size_t kMaxValue = std::size_t{16} * 1024;
constexpr std::size_t kMaxId = 256;

}  // namespace

ResponseUsage::ResponseUsage(Dialect dialect) : dialect_(dialect) {}

void ResponseUsage::feed(std::string_view piece) {
    if (broken_) {
        return;
    }
    piece_ = piece;
    piece_begin_ = scanner_.consumed();
    broken_ = !scanner_.feed(piece, *this);
    if (!broken_) {
        keep_open_token();
    }
    piece_ = {};
}

JsonHandler::Key ResponseUsage::on_key(std::size_t begin, std::size_t end, unsigned level) {
    const std::string_view key = text(begin, end);
    field_ = Field::none;
    if (level == 1 && ((dialect_ == Dialect::responses && key == "response") ||
                       (dialect_ == Dialect::messages && key == "message"))) {
        return Key::descend;
    }
    if (key == "usage") {
        field_ = Field::usage;
    } else if (key == "id") {
        field_ = Field::id;
    } else if (key == "error") {
        field_ = Field::error;
    }
    return field_ == Field::none ? Key::skip : Key::report;
}

bool ResponseUsage::on_value(JsonKind kind, std::size_t begin, std::size_t end, unsigned level) {
    static_cast<void>(level);
    const std::string_view value = text(begin, end);
    if (value.empty()) {
        overflowed_ = true;
    } else if (field_ == Field::usage) {
        if (const auto usage = parse_usage(value, dialect_)) {
            usage_ = usage;
        }
    } else if (field_ == Field::error) {
        if (auto error = parse_stream_error(value)) {
            error_ = std::move(error);
        }
    } else if (field_ == Field::id && kind == JsonKind::string && value.size() <= kMaxId) {
        id_ = json_unescape(value.substr(1, value.size() - 2)).value_or(std::string{});
    }
    return true;
}

/// Bytes [begin, end) of the body: in the current piece, or begun in an earlier one and joined
/// here. Empty when they were too many to keep.
std::string_view ResponseUsage::text(std::size_t begin, std::size_t end) {
    if (begin >= piece_begin_) {
        return piece_.substr(begin - piece_begin_, end - begin);
    }
    const std::string_view rest = piece_.substr(0, end - piece_begin_);
    if (carry_begin_ != begin || carry_.size() + rest.size() > kMaxValue) {
        return {};
    }
    carry_.append(rest);
    return carry_;
}

void ResponseUsage::keep_open_token() {
    const std::size_t open = scanner_.open_token();
    if (open == JsonScanner::kNone) {
        carry_.clear();
        carry_begin_ = JsonScanner::kNone;
        return;
    }
    if (open >= piece_begin_) {
        carry_.clear();
        carry_begin_ = open;
    }
    if (carry_begin_ != open) {
        return;  // given up: it was too large
    }
    const std::string_view part =
        open >= piece_begin_ ? piece_.substr(open - piece_begin_) : piece_;
    if (carry_.size() + part.size() > kMaxValue) {
        carry_.clear();
        carry_begin_ = JsonScanner::kNone;
        return;
    }
    carry_.append(part);
}

}  // namespace millrace::metrics
