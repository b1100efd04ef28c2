// The conditions of one compiled match, tested one by one; and the merge of candidate lists.
// Internal to routing: the table asks whether, the explanation asks which condition failed.
// Thread-safety: free functions; a merge is one caller's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "routing/httproute.hpp"

namespace millrace::routing {

/// The first condition that a request does not meet.
struct Condition {
    enum class Part : std::uint8_t { none, path, method, host, header, query } part = Part::none;
    const config::NameValueMatch* value = nullptr;  ///< of a header or query condition
};

/// Of everything but the model, which the candidate lists already answer.
Condition first_mismatch(const CompiledMatch& entry, const RequestFacts& facts);

/// Host field without port and trailing dot.
std::string_view host_name(std::string_view host);

/// Walks up to three ascending lists of entries as one ascending list.
class CandidateMerge {
public:
    using List = HttpRouteTable::Candidates;

    CandidateMerge(const List& general, const List* by_name, const List* by_id)
        : lists_{Cursor(&general), Cursor(by_name), Cursor(by_id)} {}

    std::optional<std::uint32_t> next() {
        Cursor* best = nullptr;
        for (auto& list : lists_) {
            if (list.at != list.end && (best == nullptr || *list.at < *best->at)) {
                best = &list;
            }
        }
        if (best == nullptr) {
            return std::nullopt;
        }
        return *best->at++;
    }

private:
    struct Cursor {
        explicit Cursor(const List* list)
            : at(list != nullptr ? list->data() : nullptr),
              end(list != nullptr ? list->data() + list->size() : nullptr) {}
        const std::uint32_t* at;
        const std::uint32_t* end;
    };
    std::array<Cursor, 3> lists_;
};

}  // namespace millrace::routing
