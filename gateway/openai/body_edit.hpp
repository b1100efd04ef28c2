// Edits of a request body as an ordered list of spans over the untouched buffer, applied as a
// gather write.
//
// The buffer is never changed, so a second attempt with another served name edits the original
// again. Replacement texts live inside the object; it holds offsets only and may be moved.
// Thread-safety: none. Units: bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/openai/peek.hpp"

namespace millrace::openai {

class BodyEdit {
public:
    static constexpr std::size_t kMaxEdits = 8;

    /// Replaces a span of the body. Edits must not overlap; those at one offset keep the order of
    /// the calls.
    void replace(Span where, std::string_view text);
    void insert(std::size_t offset, std::string_view text) { replace(Span{offset, 0}, text); }

    bool empty() const { return count_ == 0; }
    /// Length of the edited body.
    std::size_t length(std::size_t body_length) const;
    /// Appends the edited body as views into `body` and into this object; both must outlive the
    /// write.
    void gather(std::string_view body, std::vector<std::string_view>& out) const;
    std::string apply(std::string_view body) const;

private:
    struct Edit {
        Span where;
        Span text;  // into text_
    };

    std::array<Edit, kMaxEdits> edits_{};
    std::size_t count_ = 0;
    std::string text_;
};

/// What to ask the backend for, beyond the client's wish.
struct UsageInjection {
    bool final_usage = false;  ///< stream_options.include_usage
    bool continuous = false;   ///< stream_options.continuous_usage_stats (implies final_usage)
};

/// The edits for one attempt on `body`: `model` ends up spelled exactly as `served_name` (no edit
/// when it already is), and stream_options carries the injected members beside the client's own.
/// Usage is injected only when the request streams.
BodyEdit edits_for(const RequestFields& fields, std::string_view body, std::string_view served_name,
                   UsageInjection usage);

}  // namespace millrace::openai
