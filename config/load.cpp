#include "config/load.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "config/bind.hpp"
#include "config/manifest_reader.hpp"
#include "config/validate.hpp"

namespace millrace::config {

namespace {

void append(std::vector<Problem>& all, std::vector<Problem> more) {
    std::ranges::move(more, std::back_inserter(all));
}

bool is_pattern(std::string_view path) {
    return path.find_first_of("*?[") != path.npos;
}

class Loader {
public:
    Loader(const std::string& path, const Sources& sources)
        : path_(path), sources_(sources), files_(sources, path), report_(path) {}

    LoadResult run() {
        if (read_document()) {
            validate(loaded_.config, report_);
            read_manifests();
            validate_use(loaded_.config, loaded_.routes, report_);
        }
        LoadResult result;
        result.problems = report_.take();
        append(result.problems, std::move(manifest_problems_));
        const auto is_error = [](const Problem& p) { return p.severity == Severity::error; };
        if (std::ranges::none_of(result.problems, is_error)) {
            loaded_.files = files_.read_paths();
            loaded_.fingerprint = files_.fingerprint();
            result.loaded = std::make_shared<const Loaded>(std::move(loaded_));
        }
        return result;
    }

private:
    bool read_document() {
        const auto text = files_.read(path_);
        if (!text) {
            report_.error({}, "", "The file cannot be read.");
            return false;
        }
        const auto documents = read_yaml(*text, report_);
        if (documents.size() != 1 || documents.front().is_null()) {
            if (!report_.has_errors()) {
                report_.error({}, "",
                              documents.size() > 1 ? "The file holds several YAML documents; the "
                                                     "configuration is one."
                                                   : "The document is empty.");
            }
            return false;
        }
        bind(documents.front(), files_, report_, loaded_.config);
        return true;
    }

    void read_manifests() {
        const auto& patterns = loaded_.config.routes.manifests;
        for (std::size_t i = 0; i < patterns.size(); ++i) {
            const auto at = item_path("routes.manifests", i);
            if (report_.failed(at) || patterns[i].empty()) {
                continue;
            }
            const auto matches = sources_.expand(patterns[i]);
            if (matches.empty() && is_pattern(patterns[i])) {
                report_.warning_at(at,
                                   "The pattern " + in_ticks(patterns[i]) + " matches no file.");
            } else if (matches.empty()) {
                report_.error_at(at, "The file " + in_ticks(patterns[i]) + " cannot be read.");
            }
            for (const auto& file : matches) {
                read_manifest_file(file, at);
            }
        }
    }

    void read_manifest_file(const std::string& file, const std::string& named_at) {
        if (!manifests_seen_.insert(file).second) {
            return;  // two patterns may match the same file
        }
        const auto text = files_.read(file);
        if (!text) {
            report_.error_at(named_at, "The file " + in_ticks(file) + " cannot be read.");
            return;
        }
        Report report(file);
        for (auto& route : read_manifest(*text, loaded_.config.backends, report)) {
            const auto [first, added] =
                route_files_.emplace(route.namespace_name + "/" + route.name, file);
            if (!added && !route.name.empty()) {
                report.error({}, "",
                             "The HTTPRoute " + in_ticks(first->first) + " is already defined in " +
                                 in_ticks(first->second) + ".");
            }
            loaded_.routes.push_back(std::move(route));
        }
        append(manifest_problems_, report.take());
    }

    const std::string& path_;
    const Sources& sources_;
    Files files_;
    Report report_;
    Loaded loaded_;
    std::vector<Problem> manifest_problems_;
    std::set<std::string> manifests_seen_;
    std::map<std::string, std::string> route_files_;  ///< namespace/name → file
};

}  // namespace

LoadResult load(const std::string& path, const Sources& sources) {
    return Loader(path, sources).run();
}

}  // namespace millrace::config
