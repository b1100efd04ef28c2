#include "gateway/identity/key_file.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace millrace::gateway {
namespace {

constexpr std::string_view kBlank = " \t\r";
constexpr std::string_view kExpires = "expires=";

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    while (true) {
        const auto begin = line.find_first_not_of(kBlank);
        if (begin == std::string_view::npos) {
            return words;
        }
        line.remove_prefix(begin);
        const auto end = std::min(line.find_first_of(kBlank), line.size());
        words.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

/// Text from a file as it may be shown in a message: short and without control characters.
std::string quoted(std::string_view text) {
    std::string out = "`";
    for (const char c : text.substr(0, 64)) {
        out += c >= 0x20 && c < 0x7f ? c : '?';
    }
    return out + (text.size() > 64 ? "…`" : "`");
}

/// Reads one line; each finding is a sentence.
class LineReader {
public:
    LineReader(KeyFile& file, int line) : file_(file), line_(line) {}

    void read(const std::vector<std::string_view>& words) {
        const auto before = file_.problems.size();
        if (words.size() < 3) {
            problem("A key needs three words, `id tenant hmac-sha256-hex`; this line has " +
                    std::to_string(words.size()) + ".");
            return;
        }
        KeyRecord record;
        record.id = name(words[0], "key id");
        record.tenant = name(words[1], "tenant");
        if (const auto digest = digest_from_hex(words[2])) {
            record.digest = *digest;
        } else {
            // The word is not repeated: somebody may have put the key itself here.
            problem(
                "The third word must be the HMAC-SHA-256 of the key as 64 hexadecimal digits; "
                "`millrace keys digest` makes it.");
        }
        for (std::size_t i = 3; i < words.size(); ++i) {
            attribute(words[i], record);
        }
        if (file_.problems.size() == before) {
            file_.records.push_back(std::move(record));
        }
    }

private:
    void problem(std::string message) { file_.problems.push_back({line_, std::move(message)}); }

    std::string name(std::string_view word, std::string_view what) {
        if (!is_key_name(word)) {
            problem(
                "The " + std::string(what) + " " + quoted(word) +
                " must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ / - and begin with a letter "
                "or digit.");
        }
        return std::string(word);
    }

    void attribute(std::string_view word, KeyRecord& record) {
        if (word == "disabled") {
            record.disabled = true;
        } else if (word.starts_with(kExpires)) {
            record.expires = parse_rfc3339(word.substr(kExpires.size()));
            if (!record.expires) {
                problem("The expiry " + quoted(word.substr(kExpires.size())) +
                        " is not an RFC 3339 time such as 2027-01-31T00:00:00Z.");
            }
        } else {
            problem("The word " + quoted(word) +
                    " is unknown; after the digest only `expires=…` and `disabled` may follow.");
        }
    }

    KeyFile& file_;
    int line_;
};

/// Ids name keys in logs and revocations, digests decide: neither may repeat.
class RepetitionCheck {
public:
    explicit RepetitionCheck(KeyFile& file) : file_(file) {}

    void see(const KeyRecord& record, int line) {
        if (const auto [seen, fresh] = ids_.emplace(record.id, line); !fresh) {
            file_.problems.push_back({line, "The key id " + quoted(record.id) +
                                                " is already used in line " +
                                                std::to_string(seen->second) + "."});
        }
        if (const auto [seen, fresh] = digests_.emplace(record.digest, line); !fresh) {
            file_.problems.push_back({line, "This key is the same as the one in line " +
                                                std::to_string(seen->second) + "."});
        }
    }

private:
    KeyFile& file_;
    std::map<std::string, int> ids_;
    std::map<KeyDigest, int> digests_;
};

/// Reads fixed-width decimal fields off the front of a text.
class FieldReader {
public:
    explicit FieldReader(std::string_view text) : rest_(text) {}

    /// `digits` decimal digits within the bounds, or marks the whole text as bad.
    int number(std::size_t digits, int lowest, int highest) {
        const auto field = rest_.substr(0, digits);
        int value = 0;
        const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
        if (field.size() != digits || field.front() == '-' || error != std::errc{} ||
            end != field.data() + digits || value < lowest || value > highest) {
            good_ = false;
            return lowest;
        }
        rest_.remove_prefix(digits);
        return value;
    }

    bool take(std::string_view any_of) {
        if (rest_.empty() || !any_of.contains(rest_.front())) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }

    void need(std::string_view any_of) { good_ = take(any_of) && good_; }

    void skip_digits() {
        const auto end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        good_ = good_ && end > 0;
        rest_.remove_prefix(end);
    }

    bool good() const { return good_; }
    bool at_end() const { return rest_.empty(); }
    char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

private:
    std::string_view rest_;
    bool good_ = true;
};

}  // namespace

bool is_key_name(std::string_view name) {
    const auto alphanumeric = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    };
    return !name.empty() && name.size() <= 64 && alphanumeric(name.front()) &&
           std::ranges::all_of(name, [&](char c) {
               return alphanumeric(c) || std::string_view("._:@/-").contains(c);
           });
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    FieldReader in(text);
    const year y{in.number(4, 1970, 2200)};
    in.need("-");
    const month m{static_cast<unsigned>(in.number(2, 1, 12))};
    in.need("-");
    const day d{static_cast<unsigned>(in.number(2, 1, 31))};
    in.need("Tt ");
    const hours hour{in.number(2, 0, 23)};
    in.need(":");
    const minutes minute{in.number(2, 0, 59)};
    in.need(":");
    const std::chrono::seconds second{in.number(2, 0, 60)};
    if (in.take(".")) {
        in.skip_digits();
    }
    minutes offset{0};
    if (!in.take("Zz")) {
        const int sign = in.peek() == '-' ? -1 : 1;
        in.need("+-");
        offset = hours{in.number(2, 0, 23)};
        in.need(":");
        offset += minutes{in.number(2, 0, 59)};
        offset *= sign;
    }
    const year_month_day date{y, m, d};
    if (!in.good() || !in.at_end() || !date.ok()) {
        return std::nullopt;
    }
    return WallTime(sys_days(date) + hour + minute + second - offset);
}

KeyFile parse_key_file(std::string_view text) {
    KeyFile file;
    RepetitionCheck repetitions(file);
    for (int line = 1; !text.empty(); ++line) {
        const auto end = std::min(text.find('\n'), text.size());
        auto content = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        content = content.substr(0, content.find('#'));
        const auto words = words_of(content);
        if (words.empty()) {
            continue;
        }
        const auto before = file.records.size();
        LineReader(file, line).read(words);
        if (file.records.size() > before) {
            repetitions.see(file.records.back(), line);
        }
    }
    return file;
}

std::string describe(const std::string& file, const std::vector<KeyFileProblem>& problems) {
    std::string text;
    for (const auto& problem : problems) {
        text += file + ':' + std::to_string(problem.line) + ": " + problem.message + '\n';
    }
    return text;
}

}  // namespace millrace::gateway
