// The fields of one head: a list of views in order of arrival and an index from KnownField to the
// first of its kind.
//
// Copying is allowed but the views keep pointing into the parsed buffer. The list keeps its
// capacity across clear(), so that a kept-alive connection allocates once. Thread-safety: none; one
// owner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "config/base/header_field.hpp"
#include "gateway/http1/known_field.hpp"

namespace millrace::http1 {

/// The same view after the bytes moved. Works on addresses, because the old memory may be gone.
inline std::string_view rebased(std::string_view view, const char* old_base, const char* new_base) {
    if (view.data() == nullptr) {
        return view;
    }
    const auto offset =
        reinterpret_cast<std::uintptr_t>(view.data()) - reinterpret_cast<std::uintptr_t>(old_base);
    return {new_base + static_cast<std::ptrdiff_t>(offset), view.size()};
}

class FieldTable {
public:
    HeaderFields all() const { return fields_; }
    std::size_t size() const { return fields_.size(); }

    /// First field of that kind, or nullptr. O(1).
    const HeaderField* find(KnownField kind) const {
        const auto at = index_[static_cast<std::size_t>(kind)];
        return at == 0 ? nullptr : &fields_[at - 1U];
    }
    bool has(KnownField kind) const { return index_[static_cast<std::size_t>(kind)] != 0; }

    /// Value of the first field of that kind, or empty.
    std::string_view value(KnownField kind) const {
        const auto* field = find(kind);
        return field != nullptr ? field->value : std::string_view{};
    }

    /// First field of any name (linear), for names that only the configuration knows.
    const HeaderField* find(std::string_view name) const { return find_field(fields_, name); }

    /// A new last field, to be filled in place and then either indexed or dropped.
    HeaderField& append() { return fields_.emplace_back(); }

    /// Makes the last field findable. True if it is the first of its kind.
    bool index_last() {
        auto& at = index_[fields_.back().known];
        if (at != 0) {
            return false;
        }
        at = static_cast<std::uint16_t>(fields_.size());
        return true;
    }

    void drop_last() { fields_.pop_back(); }

    void reserve(std::size_t count) { fields_.reserve(count); }

    void clear() {
        fields_.clear();
        index_.fill(0);
    }

    /// Gives the memory back, for idle connections.
    void release() {
        clear();
        fields_.shrink_to_fit();
    }

    /// Moves every view, after the buffer moved; see RequestHead::rebase.
    void rebase(const char* old_base, const char* new_base);

private:
    std::vector<HeaderField> fields_;
    std::array<std::uint16_t, kKnownFieldCount> index_{};  ///< position + 1; [none] is meaningless
};

}  // namespace millrace::http1
