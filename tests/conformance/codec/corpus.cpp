#include "tests/conformance/codec/corpus.hpp"

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace millrace::conformance {
namespace {

std::string from_hex(const std::string& hex) {
    std::string bytes;
    bytes.reserve(hex.size() / 2);
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        unsigned value = 0;
        const char* const end = hex.data() + i + 2;
        if (std::from_chars(hex.data() + i, end, value, 16).ptr != end) {
            throw std::runtime_error("The corpus contains a byte that is not hexadecimal.");
        }
        bytes += static_cast<char>(value);
    }
    return bytes;
}

}  // namespace

std::vector<CorpusCase> load_corpus(const std::string& file) {
    const std::string path = std::string(MILLRACE_SOURCE_DIR) + "/tests/conformance/corpus/" + file;
    std::ifstream in(path);
    if (!in) {
        throw std::runtime_error("The corpus file " + path + " cannot be opened.");
    }
    std::vector<CorpusCase> cases;
    for (const auto& entry : nlohmann::json::parse(in)) {
        cases.push_back({.id = entry.at("id"),
                         .section = entry.at("section"),
                         .verdict = entry.at("verdict"),
                         .close = entry.at("close"),
                         .bytes = from_hex(entry.at("bytes_hex"))});
    }
    return cases;
}

}  // namespace millrace::conformance
