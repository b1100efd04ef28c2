#include "gateway/adapters/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "gateway/adapters/descriptor.hpp"

namespace millrace::gateway {
namespace {

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const auto wrote = ::write(file, text.data(), text.size());
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
    }
    return true;
}

bool write_synced(const std::string& path, std::string_view text) {
    const Descriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
    return file.value >= 0 && write_all(file.value, text) && ::fsync(file.value) == 0;
}

bool sync_folder(const std::string& path) {
    const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.value >= 0 && ::fsync(folder.value) == 0;
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view text) {
    auto folder = std::filesystem::path(path).parent_path().string();
    if (folder.empty()) {
        folder = ".";
    }
    std::error_code ignored;  // what follows says why
    std::filesystem::create_directories(folder, ignored);
    const auto draft = path + ".tmp";
    if (!write_synced(draft, text) || ::rename(draft.c_str(), path.c_str()) != 0 ||
        !sync_folder(folder)) {
        return failure(Errc::internal, Origin::internal,
                       "The file " + path + " cannot be written: " + std::strerror(errno) + ".");
    }
    return {};
}

}  // namespace millrace::gateway
