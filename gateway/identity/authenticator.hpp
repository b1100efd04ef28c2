// Who is calling: one API key out of `Authorization: Bearer`, `x-api-key` or `api-key` → Principal.
//
// In memory and without I/O. Unknown, disabled and expired keys get the same error in the same
// time. The views in a Principal point into the table, so whoever keeps one keeps the configuration
// snapshot that owns this authenticator. Thread-safety: const and safe from any thread. A reload
// builds another Authenticator for the next snapshot.
#pragma once

#include <cstdint>
#include <memory>
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
};

class Authenticator {
public:
    /// Without a table everybody is let in as `anonymous`, whose metric id is `anonymous_metric`.
    /// `clock` outlives the authenticator.
    Authenticator(std::shared_ptr<const KeyTable> table, const Clock& clock,
                  std::uint32_t anonymous_metric = 0);

    /// missing_credentials or invalid_credentials (two different keys in one request are invalid).
    Result<Principal> authenticate(HeaderFields fields) const;

    bool requires_key() const { return table_ != nullptr; }

private:
    std::shared_ptr<const KeyTable> table_;
    const Clock& clock_;
    std::uint32_t anonymous_metric_;
};

}  // namespace millrace::gateway
