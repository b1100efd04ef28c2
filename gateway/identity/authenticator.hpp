// Who is calling: one API key out of `Authorization: Bearer`, `x-api-key` or `api-key`, or a client
// certificate, or whoever a trusted proxy says → Principal.
//
// A key must be valid if there is one; without one, a certificate that the configuration maps to a
// tenant will do. A trusted proxy then may name the tenant in a header; only configured tenants can
// be named, so that no client makes label values. Everybody else is tenant `anonymous`.
//
// In memory and without I/O. Unknown, disabled and expired keys get the same error in the same
// time. The views in a Principal point into the table, so whoever keeps one keeps the configuration
// snapshot that owns this authenticator. Thread-safety: const and safe from any thread. A reload
// builds another Authenticator for the next snapshot.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "config/base/header_field.hpp"
#include "gateway/identity/key_table.hpp"

namespace millrace::gateway {

constexpr std::string_view kAnonymousTenant = "anonymous";

struct Principal {
    std::string_view tenant = kAnonymousTenant;
    std::string_view key_id;  ///< empty for anonymous
    std::uint32_t tenant_metric = 0;
    bool is_named_by_proxy = false;  ///< the tenant is not the key's own
};

/// What is known of a caller besides its header fields.
struct Caller {
    std::string_view certificate;  ///< name in its verified certificate, empty without
    bool is_trusted_proxy = false;
};

/// Where tenants come from besides keys. Values are metric ids.
struct TenantSources {
    struct Tenant {
        std::string name;
        std::uint32_t metric = 0;
    };
    std::map<std::string, Tenant, std::less<>> certificates;  ///< by name in the certificate
    std::string header;                                       ///< any case; empty = none
    std::map<std::string, std::uint32_t, std::less<>> named;  ///< tenants that it may name
};

class Authenticator {
public:
    /// Without a table everybody is let in as `anonymous`, whose metric id is `anonymous_metric`.
    /// `clock` outlives the authenticator.
    /// `sources` may be null.
    Authenticator(std::shared_ptr<const KeyTable> table, const Clock& clock,
                  std::uint32_t anonymous_metric = 0,
                  std::shared_ptr<const TenantSources> sources = nullptr);

    /// missing_credentials or invalid_credentials (two different keys in one request are invalid).
    Result<Principal> authenticate(HeaderFields fields, const Caller& caller = {}) const;

    bool requires_key() const { return table_ != nullptr; }

private:
    Result<Principal> by_credential(HeaderFields fields, const Caller& caller) const;
    void ask_proxy(HeaderFields fields, Principal& principal) const;

    std::shared_ptr<const KeyTable> table_;
    const Clock& clock_;
    std::uint32_t anonymous_metric_;
    std::shared_ptr<const TenantSources> sources_;
};

}  // namespace millrace::gateway
