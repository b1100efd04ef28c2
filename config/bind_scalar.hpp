// Binds one scalar of the document to one member of the configuration: the text becomes the
// member's type within the key's bounds, or the report says what was expected, what is there and,
// where it can be guessed, what was meant. Not thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "config/bind.hpp"
#include "config/field.hpp"

namespace millrace::config {

class ScalarBinder {
public:
    ScalarBinder(Files& files, Report& report) : files_(files), report_(report) {}

    /// `out` stays as it is when the report got an error.
    void value(const YamlNode& node, const std::string& path, const Field& field, bool& out);
    void value(const YamlNode& node, const std::string& path, const Field& field, Duration& out);
    void value(const YamlNode& node, const std::string& path, const Field& field, Dollars& out);
    void value(const YamlNode& node, const std::string& path, const Field& field, Address& out);
    void value(const YamlNode& node, const std::string& path, const Field& field, Secret& out);
    /// Names of files and folders are resolved, files that are read are looked at.
    void value(const YamlNode& node, const std::string& path, const Field& field, std::string& out);

    template <std::unsigned_integral N>
        requires(!std::same_as<N, bool>)
    void value(const YamlNode& node, const std::string& path, const Field& field, N& out) {
        if (const auto parsed = number(node, path, field, std::numeric_limits<N>::max())) {
            out = static_cast<N>(*parsed);
        }
    }

protected:
    /// Reports that `node` is not what was `expected`.
    void wrong(const YamlNode& node, const std::string& path, const std::string& expected,
               std::string suggestion = {});

    Report& report() { return report_; }

private:
    std::optional<std::uint64_t> number(const YamlNode& node, const std::string& path,
                                        const Field& field, std::uint64_t type_max);
    void resolve_file(const YamlNode& node, const std::string& path, Kind kind, std::string& out);

    Files& files_;
    Report& report_;
};

}  // namespace millrace::config
