// A directory that goes away with its owner, and reading and writing whole files. Thread-safety:
// plain values.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace millrace::test {

class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::filesystem::path& path() const { return path_; }
    /// Writes a file in it and returns its path.
    std::string write(std::string_view name, std::string_view contents) const;

private:
    std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
/// Writes beside the file and renames over it, as editors and Kubernetes do.
void replace_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace millrace::test
