#include "gateway/identity/authenticator.hpp"

#include <algorithm>
#include <utility>

namespace millrace::gateway {
namespace {

/// Longer credentials are refused unread, so that hashing cannot be made expensive.
constexpr std::size_t kMaxToken = 4096;

struct Credential {
    std::string_view token;
    bool present = false;
    bool contradictory = false;

    void see(std::string_view value) {
        contradictory = contradictory || (present && token != value);
        token = value;
        present = true;
    }
};

/// The token of `Bearer <token>`; another scheme yields an empty one, which no key matches.
std::string_view bearer_token(std::string_view value) {
    constexpr std::string_view kScheme = "bearer ";
    if (value.size() < kScheme.size() ||
        !equals_ignoring_case(value.substr(0, kScheme.size()), kScheme)) {
        return {};
    }
    value.remove_prefix(std::min(value.find_first_not_of(' ', kScheme.size()), value.size()));
    return value;
}

Credential credential_of(HeaderFields fields) {
    Credential credential;
    for (const auto& field : fields) {
        if (equals_ignoring_case(field.name, "authorization")) {
            credential.see(bearer_token(field.value));
        } else if (equals_ignoring_case(field.name, "x-api-key") ||
                   equals_ignoring_case(field.name, "api-key")) {
            credential.see(field.value);
        }
    }
    return credential;
}

}  // namespace

Authenticator::Authenticator(std::shared_ptr<const KeyTable> table, const Clock& clock,
                             std::uint32_t anonymous_metric,
                             std::shared_ptr<const TenantSources> sources)
    : table_(std::move(table)),
      clock_(clock),
      anonymous_metric_(anonymous_metric),
      sources_(std::move(sources)) {}

Result<Principal> Authenticator::authenticate(HeaderFields fields, const Caller& caller) const {
    auto principal = by_credential(fields, caller);
    if (principal && sources_ != nullptr && caller.is_trusted_proxy && !sources_->header.empty()) {
        ask_proxy(fields, *principal);
    }
    return principal;
}

/// A field that appears twice names nobody: a client may have sent one of them.
void Authenticator::ask_proxy(HeaderFields fields, Principal& principal) const {
    const HeaderField* seen = nullptr;
    bool is_single = true;
    for (const auto& field : fields) {
        if (equals_ignoring_case(field.name, sources_->header)) {
            is_single = seen == nullptr;
            seen = &field;
        }
    }
    if (seen == nullptr) {
        return;
    }
    const auto tenant = is_single ? sources_->named.find(seen->value) : sources_->named.end();
    const bool known = tenant != sources_->named.end();
    principal.tenant = known ? std::string_view(tenant->first) : kAnonymousTenant;
    principal.tenant_metric = known ? tenant->second : anonymous_metric_;
    principal.is_named_by_proxy = true;
}

Result<Principal> Authenticator::by_credential(HeaderFields fields, const Caller& caller) const {
    const TenantSources::Tenant* certified = nullptr;
    if (sources_ != nullptr && !caller.certificate.empty()) {
        const auto found = sources_->certificates.find(caller.certificate);
        certified = found != sources_->certificates.end() ? &found->second : nullptr;
    }
    const auto by_certificate = [&] { return Principal{certified->name, {}, certified->metric}; };
    if (!table_) {
        return certified != nullptr ? by_certificate()
                                    : Principal{kAnonymousTenant, {}, anonymous_metric_};
    }
    const auto credential = credential_of(fields);
    if (!credential.present && certified != nullptr) {
        return by_certificate();
    }
    if (!credential.present) {
        return failure(Errc::missing_credentials, Origin::downstream,
                       "An API key is required: send it as `Authorization: Bearer KEY` or as "
                       "`x-api-key: KEY`.");
    }
    if (!credential.contradictory && !credential.token.empty() &&
        credential.token.size() <= kMaxToken) {
        const auto* entry = table_->find(credential.token);
        const auto now = clock_.wall();
        if (entry != nullptr && !entry->record.disabled &&
            (!entry->record.expires || now < *entry->record.expires)) {
            return Principal{entry->record.tenant, entry->record.id, entry->tenant_metric};
        }
    }
    // One answer for unknown, disabled, expired and contradictory keys: which of them it was helps
    // only a guesser.
    return failure(Errc::invalid_credentials, Origin::downstream,
                   "The API key is not valid. Check that it is complete, that it belongs to this "
                   "gateway, and that only one key is sent.");
}

}  // namespace millrace::gateway
