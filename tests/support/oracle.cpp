#include "tests/support/oracle.hpp"

#include <map>

#include "tests/support/sse.hpp"

namespace millrace::test {

namespace {

using LinesById = std::map<std::string, std::vector<const nlohmann::json*>>;

LinesById by_id(std::span<const nlohmann::json> lines, const char* key) {
    LinesById index;
    for (const auto& line : lines) {
        index[line.value(key, "")].push_back(&line);
    }
    return index;
}

std::span<const nlohmann::json* const> lines_of(const LinesById& index, const std::string& id) {
    const auto found = index.find(id);
    return found == index.end() ? std::span<const nlohmann::json* const>{} : found->second;
}

class Judge {
public:
    Judge(std::span<const nlohmann::json> gateway, std::span<const nlohmann::json> backend)
        : gateway_(by_id(gateway, "request_id")), backend_(by_id(backend, "id")) {}

    void request(const ClientLine& client) {
        conservation(client);
        integrity(client);
        const auto lines = lines_of(gateway_, client.id);
        if (lines.size() == 1) {
            money(*lines.front(), lines_of(backend_, client.id));
        }
    }
    OracleReport report;

private:
    void violation(const std::string& id, const std::string& sentence) {
        report.violations.push_back(id + ": " + sentence);
    }

    void conservation(const ClientLine& client) {
        const auto lines = lines_of(gateway_, client.id);
        if (lines.size() > 1) {
            violation(client.id, "settled " + std::to_string(lines.size()) + " times (O1)");
        }
        // A client that leaves before its head has been read leaves no trace; then none may be at
        // the backend either.
        if (lines.empty() && (!client.left || !lines_of(backend_, client.id).empty())) {
            violation(client.id, "has no line in the access log (O1)");
        }
        if (client.left) {
            ++report.left;
        } else if (client.error) {
            ++report.errors;
        } else if (client.status == 200 && client.complete && (client.done || !client.stream)) {
            ++report.completed;
            if (lines.size() == 1 && lines.front()->value("outcome", "") != "completed") {
                violation(client.id, "is complete for the client and `" +
                                         lines.front()->value("outcome", "") +
                                         "` in the access log (O1)");
            }
        } else {
            violation(client.id, "ended without an explanation, status " +
                                     std::to_string(client.status) + " (O1)");
        }
    }

    void integrity(const ClientLine& client) {
        std::size_t tokens = 0;
        if (!is_token_sequence(client.content, &tokens)) {
            violation(client.id, "got tokens out of order, or other bytes than were sent (O2)");
        }
        const auto lines = lines_of(backend_, client.id);
        if (!client.left && !client.error && client.done && lines.size() == 1 &&
            tokens != lines.front()->value("tokens", std::size_t{0})) {
            violation(client.id, "is complete with " + std::to_string(tokens) + " tokens of " +
                                     std::to_string(lines.front()->value("tokens", 0)) + " (O2)");
        }
    }

    void money(const nlohmann::json& ours, std::span<const nlohmann::json* const> theirs) {
        const auto exactness = ours.value("exactness", "");
        const auto id = ours.value("request_id", "");
        if (exactness == "none") {
            return;
        }
        if (theirs.empty()) {
            violation(id, "is billed, but no backend has seen it (O3)");
            return;
        }
        const auto& theirs_last = *theirs.back();
        const auto billed = ours.value("completion_tokens", std::uint64_t{0});
        const auto written = theirs_last.value("tokens_written", std::uint64_t{0});
        if (exactness == "exact") {
            ++report.exact;
            if (billed != theirs_last.value("tokens", std::uint64_t{0})) {
                violation(id, "bills " + std::to_string(billed) +
                                  " tokens as exact, the backend says " +
                                  std::to_string(theirs_last.value("tokens", std::uint64_t{0})) +
                                  " (O3)");
            }
        } else {
            ++(exactness == "partial" ? report.partial : report.estimated);
            const auto read =
                tokens_within(theirs_last, ours.value("upstream_bytes_read", std::uint64_t{0}));
            if (billed > written || billed < read) {
                violation(id, "bills " + std::to_string(billed) + " tokens; the gateway had read " +
                                  std::to_string(read) + " of " + std::to_string(written) +
                                  " written (O3)");
            }
        }
        if (ours.contains("prompt_tokens") && exactness != "estimated" &&
            ours["prompt_tokens"] != theirs_last.value("prompt_tokens", std::uint64_t{0})) {
            violation(id, "bills " + ours["prompt_tokens"].dump() +
                              " prompt tokens, the backend says " +
                              std::to_string(theirs_last.value("prompt_tokens", std::uint64_t{0})) +
                              " (O3)");
        }
    }

    LinesById gateway_;
    LinesById backend_;
};

}  // namespace

ClientLine client_line(std::string id, const Message& answer, bool stream) {
    ClientLine line{.id = std::move(id),
                    .status = answer.status(),
                    .stream = stream,
                    .complete = answer.complete,
                    .content = {}};
    if (stream && answer.status() == 200) {
        const auto verdict = judge_stream(answer.body);
        line.done = verdict.done;
        line.error = verdict.error;
        line.content = verdict.content;
    } else if (answer.status() == 200) {
        const auto json = answer.json();
        if (answer.complete && json.is_object() && json.contains("choices")) {
            line.content = json["choices"][0]["message"]["content"].get<std::string>();
        }
        // A cut body is an explicit error to whoever checks its length, as every client does.
        line.error = !answer.complete;
    } else {
        line.error = answer.status() >= 400 && answer.complete;
    }
    return line;
}

std::string OracleReport::text() const {
    std::string out = std::to_string(completed) + " completed, " + std::to_string(errors) +
                      " errors, " + std::to_string(left) + " left by the client; " +
                      std::to_string(exact) + " exact, " + std::to_string(partial) + " partial, " +
                      std::to_string(estimated) + " estimated\n";
    std::size_t shown = 0;
    for (const auto& violation : violations) {
        if (++shown > 20) {
            out += "… and " + std::to_string(violations.size() - 20) + " more\n";
            break;
        }
        out += violation + '\n';
    }
    return out;
}

OracleReport judge(std::span<const ClientLine> clients, std::span<const nlohmann::json> gateway,
                   std::span<const nlohmann::json> backend) {
    Judge judge(gateway, backend);
    for (const auto& client : clients) {
        judge.request(client);
    }
    return judge.report;
}

std::uint64_t tokens_within(const nlohmann::json& backend_line, std::uint64_t bytes) {
    std::uint64_t tokens = 0;
    for (const auto& mark : backend_line.value("marks", nlohmann::json::array())) {
        if (mark.at(1).get<std::uint64_t>() > bytes) {
            break;
        }
        tokens = mark.at(0).get<std::uint64_t>();
    }
    return tokens;
}

bool is_token_sequence(std::string_view content, std::size_t* tokens) {
    std::size_t index = 0;
    while (!content.empty()) {
        const auto end = content.find(' ');
        if (end == std::string_view::npos) {
            break;  // cut to an exact length
        }
        const auto word = content.substr(0, end);
        const auto digits = word.find_first_of("0123456789");
        if (digits == std::string_view::npos || word.substr(digits) != std::to_string(index)) {
            return false;
        }
        content.remove_prefix(end + 1);
        ++index;
    }
    if (tokens != nullptr) {
        *tokens = index + (content.empty() ? 0 : 1);
    }
    return true;
}

}  // namespace millrace::test
