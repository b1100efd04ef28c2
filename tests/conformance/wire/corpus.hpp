// The corpus of requests and responses that HTTP/1.1 servers disagree about, one JSON file each
// beside this header. Thread-safety: plain values.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.hpp"

namespace millrace::test {

enum class CorpusVerdict { accept, reject, either };

struct CorpusCase {
    std::string id;
    std::string expect;  ///< in words, for the failure message
    std::string bytes;
    CorpusVerdict verdict = CorpusVerdict::reject;
    bool close = false;  ///< the connection must end

    friend void PrintTo(const CorpusCase& value, std::ostream* out) { *out << value.id; }
};

inline std::string from_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

inline std::vector<CorpusCase> load_corpus(const std::string& file) {
    const auto path =
        std::filesystem::path(MILLRACE_SOURCE_DIR) / "tests/conformance/corpus" / file;
    std::vector<CorpusCase> cases;
    for (const auto& entry : nlohmann::json::parse(read_file(path))) {
        const auto verdict = entry.at("verdict").get<std::string>();
        cases.push_back({entry.at("id"), entry.at("expect"), from_hex(entry.at("bytes_hex")),
                         verdict == "accept"   ? CorpusVerdict::accept
                         : verdict == "reject" ? CorpusVerdict::reject
                                               : CorpusVerdict::either,
                         entry.at("close")});
    }
    return cases;
}

}  // namespace millrace::test
