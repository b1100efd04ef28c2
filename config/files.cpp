#include <algorithm>
#include <filesystem>

#include "config/bind.hpp"

namespace millrace::config {

Files::Files(const Sources& sources, const std::string& document)
    : sources_(sources), folder_(std::filesystem::path(document).parent_path().string()) {}

std::string Files::resolve(const std::string& path) const {
    return (std::filesystem::path(folder_) / path).lexically_normal().string();
}

std::optional<std::string> Files::read(const std::string& path) {
    if (std::ranges::find(paths_, path) == paths_.end()) {
        paths_.push_back(path);
    }
    return sources_.read_file(path);
}

std::optional<std::string> Files::read_referenced(const std::string& path) {
    auto contents = read(path);
    for (const auto c : contents.value_or("")) {
        fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return contents;
}

}  // namespace millrace::config
