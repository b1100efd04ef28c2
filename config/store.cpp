#include "config/store.hpp"

namespace millrace::config {

namespace {

/// Keys that only the start reads, because sockets and threads outlive a reload.
void warn_of_start_only(const Config& before, const Config& after, const std::string& file,
                        std::vector<Problem>& problems) {
    const auto check = [&](const char* path, const auto& old_value, const auto& new_value) {
        if (old_value != new_value) {
            problems.push_back({Severity::warning, file, 0, 0, path,
                                "The new value is read at the start only.",
                                "restart the process to apply it"});
        }
    };
    check("listeners.data.address", before.listeners.data.address, after.listeners.data.address);
    check("listeners.data.tls", before.listeners.data.tls.has_value(),
          after.listeners.data.tls.has_value());
    check("listeners.metrics.address", before.listeners.metrics.address,
          after.listeners.metrics.address);
    check("listeners.admin.address", before.listeners.admin.address, after.listeners.admin.address);
    check("process.workers", before.process.workers, after.process.workers);
}

}  // namespace

std::string_view to_string(ReloadResult result) {
    switch (result) {
        case ReloadResult::published: return "published";
        case ReloadResult::unchanged: return "unchanged";
        case ReloadResult::refused: return "refused";
    }
    return {};
}

ReloadOutcome Store::reload(const std::string& path, const Sources& sources) {
    auto [loaded, problems] = load(path, sources);
    if (!loaded) {
        return {ReloadResult::refused, std::move(problems)};
    }
    const auto current = published_.current();
    if (current && *current == *loaded) {
        return {ReloadResult::unchanged, std::move(problems)};
    }
    if (current) {
        warn_of_start_only(current->config, loaded->config, path, problems);
    }
    published_.publish(std::move(loaded));
    return {ReloadResult::published, std::move(problems)};
}

}  // namespace millrace::config
