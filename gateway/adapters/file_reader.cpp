#include "gateway/adapters/file_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "gateway/adapters/descriptor.hpp"

namespace millrace::gateway {
namespace {

std::unexpected<Error> cannot_read(const std::string& path, const std::string& reason) {
    return failure(Errc::internal, Origin::internal,
                   "The file " + path + " cannot be read: " + reason + ".");
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, std::uint64_t limit) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.value < 0) {
        return cannot_read(path, std::strerror(errno));
    }
    std::string text;
    std::array<char, 16384> buffer{};
    while (true) {
        const auto got = ::read(file.value, buffer.data(), buffer.size());
        if (got == 0) {
            return text;
        }
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return cannot_read(path, std::strerror(errno));
        }
        text.append(buffer.data(), static_cast<std::size_t>(got));
        if (text.size() > limit) {
            return cannot_read(path, "it is larger than " + std::to_string(limit) + " bytes");
        }
    }
}

Result<std::string> read_secret_file(const std::string& path) {
    auto text = read_whole_file(path, 64ULL * 1024);
    if (!text) {
        return text;
    }
    while (text->ends_with('\n') || text->ends_with('\r')) {
        text->pop_back();
    }
    if (text->empty()) {
        return failure(Errc::internal, Origin::internal, "The file " + path + " is empty.");
    }
    return text;
}

}  // namespace millrace::gateway
