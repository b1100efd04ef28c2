#include "gateway/commands/keys.hpp"

#include <cstdlib>
#include <istream>
#include <ostream>

#include "gateway/adapters/file_reader.hpp"
#include "gateway/commands/exit_code.hpp"
#include "gateway/identity/key_file.hpp"
#include "gateway/identity/token.hpp"

namespace millrace::gateway {
namespace {

int fail(std::ostream& err, const std::string& sentence, int code = kExitConfiguration) {
    err << sentence << '\n';
    return code;
}

/// Strips what a terminal or a file adds to the end of a line.
void strip_line_end(std::string& text) {
    while (text.ends_with('\n') || text.ends_with('\r')) {
        text.pop_back();
    }
}

}  // namespace

Result<Secret> read_pepper(const PepperSource& source) {
    if (!source.file.empty()) {
        auto text = read_secret_file(source.file);
        if (!text) {
            return std::unexpected(text.error());
        }
        return Secret(std::move(*text));
    }
    const char* value = std::getenv(source.environment.c_str());
    std::string text = value != nullptr ? value : "";
    strip_line_end(text);
    if (text.empty()) {
        return failure(Errc::internal, Origin::internal,
                       "The environment variable " + source.environment +
                           ", which should hold the pepper, is not set or is empty.");
    }
    return Secret(std::move(text));
}

int run_keys_new(const NewKeyOptions& options, std::ostream& out, std::ostream& err) {
    const auto pepper = read_pepper(options.pepper);
    if (!pepper) {
        return fail(err, pepper.error().detail);
    }
    if (!options.expires.empty() && !parse_rfc3339(options.expires)) {
        return fail(err, "The expiry " + options.expires +
                             " is not an RFC 3339 time such as 2027-01-31T00:00:00Z.");
    }
    const auto key = new_key(options.tenant, *pepper);
    if (!key) {
        return fail(err, key.error().detail,
                    key.error().code == Errc::internal ? kExitRuntimeFailure : kExitConfiguration);
    }
    out << "key:  " << key->token.reveal() << "\nline: " << key->line
        << (options.expires.empty() ? "" : " expires=" + options.expires) << '\n';
    err << "Give the key to its owner now, it cannot be shown again; put the line into the key "
           "file.\n";
    return kExitClean;
}

int run_keys_digest(const DigestOptions& options, std::istream& in, std::ostream& out,
                    std::ostream& err) {
    const auto pepper = read_pepper(options.pepper);
    if (!pepper) {
        return fail(err, pepper.error().detail);
    }
    std::string token;
    std::getline(in, token);
    strip_line_end(token);
    if (token.empty()) {
        return fail(err, "No key was read: give it on standard input.");
    }
    if (token_form(token) == TokenForm::mistyped) {
        return fail(
            err,
            "The key begins like one of ours but its checksum is wrong; it was mistyped or cut.");
    }
    const std::string id = options.id.empty() ? std::string(token_id(token)) : options.id;
    if (id.empty()) {
        return fail(err, "A key of another form needs a name in the key file; give one with --id.");
    }
    if (!is_key_name(id) || !is_key_name(options.tenant)) {
        return fail(
            err,
            "The id and the tenant must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / - and "
            "begin with a letter or digit.");
    }
    out << id << ' ' << options.tenant << ' ' << to_hex(TokenDigester(*pepper).digest(token))
        << '\n';
    return kExitClean;
}

}  // namespace millrace::gateway
