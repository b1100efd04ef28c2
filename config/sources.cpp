#include <glob.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/load.hpp"

namespace millrace::config {

namespace {

/// Larger than any key table that makes sense; guards against a path that is a device or a log.
constexpr std::size_t kMaxFileBytes = 64 * kMiB;

std::optional<std::string> read_file(const std::string& path) {
    std::error_code failed;
    if (std::filesystem::is_directory(path, failed)) {
        return std::nullopt;
    }
    std::ifstream file(path, std::ios::binary);
    std::string contents;
    char block[16 * kKiB];
    while (file.read(block, sizeof block), file.gcount() > 0) {
        contents.append(block, static_cast<std::size_t>(file.gcount()));
        if (contents.size() > kMaxFileBytes) {
            return std::nullopt;
        }
    }
    // At the end of a good read both bits are set; a file that never opened has failbit alone.
    return file.eof() ? std::optional(std::move(contents)) : std::nullopt;
}

std::vector<std::string> expand(const std::string& pattern) {
    glob_t found{};
    std::vector<std::string> paths;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
        paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    globfree(&found);
    return paths;
}

std::optional<std::string> environment(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

Sources system_sources() {
    return {read_file, expand, environment};
}

}  // namespace millrace::config
