#include <algorithm>
#include <concepts>
#include <functional>

#include "config/address_syntax.hpp"
#include "config/base/header_field.hpp"
#include "config/describe.hpp"
#include "config/reference_intro.hpp"
#include "config/schema.hpp"
#include "config/syntax.hpp"

namespace millrace::config {

namespace {

/// Type and default of one key, as the table prints them.
struct Cell {
    std::string type;
    std::string fallback;
};

std::string code(std::string_view text) {
    return "`" + std::string(text) + "`";
}

std::string range(const Field& field, std::uint64_t type_max,
                  std::string (*format)(std::uint64_t)) {
    const auto max = std::min(field.max, type_max);
    if (max != kUnlimited && field.max < type_max) {
        return ", " + format(field.min) + " … " + format(max);
    }
    return field.min > 0 ? ", at least " + format(field.min) : "";
}

/// GitHub's anchor of a heading: letters, digits, hyphens and underscores stay.
std::string link(const std::string& path) {
    std::string anchor;
    for (const char c : path) {
        if (std::string_view("`.[]<>").find(c) == std::string_view::npos) {
            anchor += to_lower(c);
        }
    }
    return "[" + code(path) + "](#" + anchor + ")";
}

/// Writes the section of one struct, then those of the structs inside it.
class Sections {
public:
    template <class T>
    void section(const std::string& path, std::string_view doc, T& value) {
        std::string table = "| key | type | default | meaning |\n|---|---|---|---|\n";
        Table visitor{*this, path, table, {}};
        describe(visitor, value);
        out_ += path.empty() ? "## The document\n\n" : "## " + code(path) + "\n\n";
        out_ += std::string(doc) + "\n\n" + table + "\n";
        for (const auto& nested : visitor.nested) {
            nested();
        }
    }

    std::string take() { return std::move(out_); }

private:
    struct Table {
        Sections& sections;
        const std::string& path;
        std::string& table;
        std::vector<std::function<void()>> nested;

        template <class T>
        void field(const Field& field, T& member) {
            const auto at =
                path.empty() ? std::string(field.key) : path + "." + std::string(field.key);
            const auto cell = this->cell(field, at, member);
            table += "| " + code(field.key) + " | " + cell.type + " | " +
                     (field.required ? "**required**" : cell.fallback) + " | " +
                     std::string(field.doc) + " |\n";
        }

        Cell cell(const Field&, const std::string&, bool& value) {
            return {"`true` or `false`", code(value ? "true" : "false")};
        }

        template <std::unsigned_integral N>
            requires(!std::same_as<N, bool>)
        Cell cell(const Field& field, const std::string&, N& value) {
            const bool size = field.kind == Kind::size;
            return {(size ? "size" : "number") + range(field, std::numeric_limits<N>::max(),
                                                       size ? format_size : format_count),
                    code(size ? format_size(value) : std::to_string(value))};
        }

        Cell cell(const Field& field, const std::string&, Duration& value) {
            return {"duration" + range(field, kUnlimited, format_milliseconds),
                    code(format_duration(value))};
        }

        Cell cell(const Field& field, const std::string&, std::string& value) {
            const char* type = "text";
            switch (field.kind) {
                case Kind::file: type = "file"; break;
                case Kind::glob: type = "file or pattern"; break;
                case Kind::output: type = "`stdout`, `stderr` or file"; break;
                case Kind::folder: type = "folder"; break;
                case Kind::natural:
                case Kind::size: break;
            }
            return {type, value.empty() ? "" : code(value)};
        }

        Cell cell(const Field&, const std::string&, Address& value) {
            return {"address", code(format_address(value))};
        }

        Cell cell(const Field&, const std::string&, Dollars& value) {
            return {"dollars", code(format_dollars(value))};
        }

        Cell cell(const Field&, const std::string&, Secret&) { return {"secret", ""}; }

        template <class E>
            requires std::is_enum_v<E>
        Cell cell(const Field&, const std::string&, E& value) {
            std::string words;
            for (const auto& entry : names(value)) {
                words += (words.empty() ? "" : ", ") + code(entry.name);
            }
            return {words, code(name_of(value))};
        }

        template <class T>
        Cell cell(const Field& field, const std::string& at, std::optional<T>&) {
            T inner{};
            return {cell(field, at, inner).type, "absent"};
        }

        template <class T>
        Cell cell(const Field& field, const std::string& at, std::vector<T>& value) {
            T item{};
            const Field plain{.key = field.key, .doc = field.doc, .kind = field.kind};
            return {"list of " + cell(plain, at + "[]", item).type,
                    value.empty() ? "empty" : items(value)};
        }

        template <class T>
        static std::string items(const std::vector<T>& values) {
            std::string text;
            if constexpr (std::unsigned_integral<T>) {
                for (const auto& value : values) {
                    text += (text.empty() ? "" : ", ") + std::to_string(value);
                }
            }
            return code("[" + text + "]");
        }

        template <class T>
        Cell cell(const Field& field, const std::string& at, std::map<std::string, T>&) {
            T item{};
            return {"name → " + cell(field, at + ".<name>", item).type, "empty"};
        }

        template <class T>
        Cell cell(const Field& field, const std::string& at, T& value) {
            nested.push_back([this_sections = &sections, at, doc = field.doc, value]() mutable {
                this_sections->section(at, doc, value);
            });
            return {link(at), ""};
        }
    };

    std::string out_;
};

}  // namespace

std::string markdown() {
    Config config;
    Sections sections;
    sections.section("", "Every key is optional unless the table says otherwise.", config);
    auto text = std::string(kReferenceIntro) + sections.take();
    text.pop_back();  // one line end at the end of the file
    return text;
}

}  // namespace millrace::config
