// The corpus under tests/conformance/corpus as plain values. Thread-safety: plain values.
#pragma once

#include <string>
#include <vector>

namespace millrace::conformance {

struct CorpusCase {
    std::string id;
    std::string section;
    std::string verdict;  ///< accept, reject or either
    bool close = false;   ///< the connection must end after it
    std::string bytes;
};

/// Reads `file` of the corpus folder; throws if it is missing or malformed.
std::vector<CorpusCase> load_corpus(const std::string& file);

}  // namespace millrace::conformance
