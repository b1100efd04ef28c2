#include "gateway/http1/hop_by_hop.hpp"

#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

constexpr unsigned kMostOptions = 32;

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

/// Calls `visit(token)` for every non-empty element; false if one is not a token.
template <class Visit>
bool for_each_option(std::string_view value, Visit&& visit) {
    while (!value.empty()) {
        const auto comma = value.find(',');
        const auto element = trim(value.substr(0, comma));
        value = comma == std::string_view::npos ? std::string_view{} : value.substr(comma + 1);
        if (element.empty()) {
            continue;
        }
        if (!is_token(element)) {
            return false;
        }
        visit(element);
    }
    return true;
}

void add_option(std::string_view option, ConnectionOptions& options) {
    ++options.count;
    if (equals_ignoring_case(option, "close")) {
        options.close = true;
        return;
    }
    const KnownField kind = known_field(option);
    if (is_protected(kind) || is_reserved_prefix(option)) {
        options.names_protected = true;
    } else if (!is_hop_by_hop(kind)) {
        options.names_fields = true;
    }
}

bool is_named_by_connection(const FieldTable& fields, std::string_view name) {
    bool named = false;
    for (const auto& field : fields.all()) {
        if (known(field) == KnownField::connection) {
            for_each_option(field.value, [&](std::string_view option) {
                named = named || equals_ignoring_case(option, name);
            });
        }
    }
    return named;
}

bool is_framing(KnownField kind) {
    return kind == KnownField::content_length || kind == KnownField::transfer_encoding;
}

}  // namespace

std::optional<ConnectionOptions> connection_options(const FieldTable& fields) {
    ConnectionOptions options;
    const auto* const first = fields.find(KnownField::connection);
    if (first == nullptr) {
        return options;
    }
    for (const auto& field :
         fields.all().subspan(static_cast<std::size_t>(first - fields.all().data()))) {
        if (known(field) != KnownField::connection) {
            continue;
        }
        if (equals_ignoring_case(field.value, "keep-alive")) {
            ++options.count;  // what nearly every client says, and it changes nothing
            continue;
        }
        const bool is_list = for_each_option(
            field.value, [&](std::string_view option) { add_option(option, options); });
        if (!is_list || options.count > kMostOptions) {
            return std::nullopt;
        }
    }
    return options;
}

bool is_reserved_prefix(std::string_view name) {
    return starts_with_ignoring_case(name, "x-millrace-") ||
           starts_with_ignoring_case(name, "x-gateway-") ||
           starts_with_ignoring_case(name, "x-llm-d-");
}

bool forwards_to_upstream(const RequestHead& head, const HeaderField& field) {
    const KnownField kind = known(field);
    if (kind == KnownField::none) {
        return !is_reserved_prefix(field.name) &&
               !(head.connection_names_fields && is_named_by_connection(head.fields, field.name));
    }
    if (is_hop_by_hop(kind) || is_framing(kind) || kind == KnownField::host ||
        kind == KnownField::expect) {
        return false;
    }
    return is_protected(kind) || !head.connection_names_fields ||
           !is_named_by_connection(head.fields, field.name);
}

bool forwards_to_client(const ResponseHead& head, const HeaderField& field) {
    const KnownField kind = known(field);
    if (is_hop_by_hop(kind) || is_framing(kind) || kind == KnownField::server ||
        starts_with_ignoring_case(field.name, "x-millrace-")) {
        return false;
    }
    return is_protected(kind) || !head.connection_names_fields ||
           !is_named_by_connection(head.fields, field.name);
}

}  // namespace millrace::http1
