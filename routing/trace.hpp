// Trace: the sentences behind a decision, for `millrace explain`. Deciding code takes a `Trace*`
// that is null on the data path, so that the explanation comes from the code that decides and not
// from a copy of it. Thread-safety: none; one per decision.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::routing {

class Trace {
public:
    /// Adds one sentence, given in pieces.
    void add(std::initializer_list<std::string_view> pieces) {
        std::string line;
        for (const auto piece : pieces) {
            line += piece;
        }
        lines_.push_back(std::move(line));
    }

    const std::vector<std::string>& lines() const { return lines_; }

private:
    std::vector<std::string> lines_;
};

}  // namespace millrace::routing
