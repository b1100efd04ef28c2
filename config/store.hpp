// The running configuration: reload reads, checks and publishes in one step, and a bad document
// changes nothing.
//
// The file watch and the signal are the gateway's; this only decides. Thread-safety: reload() from
// one thread at a time (the control thread); readers go through Published.
#pragma once

#include <string>
#include <vector>

#include "config/base/published.hpp"
#include "config/load.hpp"

namespace millrace::config {

enum class ReloadResult : std::uint8_t {
    published,  ///< the new snapshot is visible
    unchanged,  ///< nothing differs, files that the document refers to included; nothing was
                ///< published
    refused,    ///< at least one error; the last good snapshot stays
};

std::string_view to_string(ReloadResult result);

struct ReloadOutcome {
    ReloadResult result = ReloadResult::refused;
    /// Everything load() found, and a warning for each changed key that is read at the start only.
    std::vector<Problem> problems;
};

class Store {
public:
    /// `published` holds the configuration that the process started with, and outlives the store.
    explicit Store(Published<Loaded>& published) : published_(published) {}

    ReloadOutcome reload(const std::string& path, const Sources& sources);

private:
    Published<Loaded>& published_;
};

}  // namespace millrace::config
