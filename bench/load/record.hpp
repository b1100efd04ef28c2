// The file that `--record` names: one line per request, `id status tokens how`, for a check against
// what the gateway says of them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace millrace::load {

class Record {
public:
    /// Writes nothing when `path` is empty or cannot be opened.
    explicit Record(const std::string& path)
        : file_(path.empty() ? nullptr : std::fopen(path.c_str(), "w")) {}
    Record(const Record&) = delete;
    Record& operator=(const Record&) = delete;
    ~Record() {
        if (file_ != nullptr) {
            std::fclose(file_);
        }
    }

    void add(const std::string& id, int status, std::uint32_t tokens, std::string_view how) {
        if (file_ != nullptr) {
            std::fprintf(file_, "%s %d %u %.*s\n", id.c_str(), status, tokens,
                         static_cast<int>(how.size()), how.data());
        }
    }

private:
    std::FILE* file_;
};

}  // namespace millrace::load
