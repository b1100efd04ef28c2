#include "config/yaml_reader.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <set>
#include <sstream>

namespace millrace::config {

namespace {

/// Ends the parse from inside a yaml-cpp callback; the problem is already reported.
struct Stop : std::exception {};

/// yaml-cpp counts from 0 and marks what has no place with -1.
Place place_of(const YAML::Mark& mark) {
    return {mark.line + 1, mark.column + 1};
}

/// yaml-cpp takes 0x04 for the end of the file and would drop what follows without a word.
bool is_forbidden(char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

Place place_in(std::string_view text, std::string_view::const_iterator at) {
    const auto before = text.substr(0, static_cast<std::size_t>(at - text.begin()));
    return {static_cast<int>(std::ranges::count(before, '\n')) + 1,
            static_cast<int>(before.size() - (before.rfind('\n') + 1)) + 1};
}

/// yaml-cpp closes a quoted scalar at the end of a file that ends in a new line; at a document's
/// end it complains.
std::string with_end_marker(std::string_view text) {
    std::string marked(text);
    if (!marked.empty() && marked.back() != '\n') {
        marked += '\n';
    }
    return marked += "...\n";
}

class TreeBuilder final : public YAML::EventHandler {
public:
    explicit TreeBuilder(Report& report) : report_(report) {}

    std::vector<YamlNode> take() { return std::move(documents_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        // At a stray `,` or `}` yaml-cpp yields empty documents for ever without reading on.
        if (mark.pos == document_start_) {
            report_.error(place_of(mark), "", "This is not valid YAML: nothing can start here.");
            throw Stop();
        }
        document_start_ = mark.pos;
        frames_.clear();
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
        YamlNode node;
        node.place = place_of(mark);
        finish(std::move(node));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        report_.error(place_of(mark), "",
                      "Aliases (`*name`) are not supported; write the value out.");
        OnNull(mark, 0);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        check(mark, tag, anchor);
        YamlNode node;
        node.kind = YamlNode::Kind::scalar;
        node.quoted = tag == "!";
        node.place = place_of(mark);
        node.scalar = value;
        finish(std::move(node));
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, YamlNode::Kind::sequence);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, YamlNode::Kind::mapping);
    }
    void OnMapEnd() override { close(); }

private:
    struct Frame {
        YamlNode node;
        std::set<std::string> keys;
        std::string key;
        Place key_place;
        bool has_key = false;
        bool drop_value = false;  ///< the key was refused
    };

    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (anchor != 0) {
            report_.error(place_of(mark), "",
                          "Anchors (`&name`) are not supported; write the value out.");
        }
        if (tag.size() > 1) {
            report_.error(place_of(mark), "",
                          "Tags such as " + in_ticks(tag) + " are not supported.");
        }
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
              YamlNode::Kind kind) {
        check(mark, tag, anchor);
        if (frames_.size() >= kMaxYamlDepth) {
            report_.error(
                place_of(mark), "",
                "The document is nested deeper than " + std::to_string(kMaxYamlDepth) + " levels.");
            throw Stop();
        }
        Frame frame;
        frame.node.kind = kind;
        frame.node.place = place_of(mark);
        frames_.push_back(std::move(frame));
    }

    void close() {
        auto node = std::move(frames_.back().node);
        frames_.pop_back();
        finish(std::move(node));
    }

    void finish(YamlNode node) {
        if (++nodes_ > kMaxYamlNodes) {
            report_.error(
                node.place, "",
                "The file has more than " + std::to_string(kMaxYamlNodes) + " values and keys.");
            throw Stop();
        }
        if (frames_.empty()) {
            documents_.push_back(std::move(node));
        } else if (frames_.back().node.is_sequence()) {
            frames_.back().node.items.push_back(std::move(node));
        } else if (!frames_.back().has_key) {
            take_key(frames_.back(), node);
        } else {
            take_value(frames_.back(), std::move(node));
        }
    }

    void take_key(Frame& frame, const YamlNode& node) {
        frame.has_key = true;
        frame.key = node.scalar;
        frame.key_place = node.place;
        frame.drop_value = true;
        if (!node.is_scalar()) {
            report_.error(node.place, "", "A key must be a plain word.");
        } else if (node.scalar == "<<" && !node.quoted) {
            report_.error(node.place, "",
                          "Merge keys (`<<`) are not supported; write the keys out.");
        } else if (!frame.keys.insert(node.scalar).second) {
            const auto* first = frame.node.find(node.scalar);
            report_.error(node.place, "",
                          "The key " + in_ticks(node.scalar) +
                              " appears twice; the first is on line " +
                              std::to_string(first->place.line) + ".");
        } else {
            frame.drop_value = false;
        }
    }

    static void take_value(Frame& frame, YamlNode node) {
        frame.has_key = false;
        if (frame.drop_value) {
            return;
        }
        if (node.is_null()) {
            node.place =
                frame.key_place;  // yaml-cpp puts an absent value wherever the parser stands
        }
        frame.node.entries.push_back({std::move(frame.key), frame.key_place, std::move(node)});
    }

    Report& report_;
    std::vector<YamlNode> documents_;
    std::vector<Frame> frames_;
    std::size_t nodes_ = 0;
    int document_start_ = -1;
};

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
    const auto found = std::ranges::find(entries, key, &YamlEntry::key);
    return found == entries.end() ? nullptr : &*found;
}

std::vector<YamlNode> read_yaml(std::string_view text, Report& report) {
    if (text.size() > kMaxYamlBytes) {
        report.error({}, "",
                     "The file has " + std::to_string(text.size()) + " bytes; the limit is " +
                         std::to_string(kMaxYamlBytes) + ".");
        return {};
    }
    if (const auto at = std::ranges::find_if(text, is_forbidden); at != text.end()) {
        report.error(place_in(text, at), "", "The file contains a control character.");
        return {};
    }
    TreeBuilder builder(report);
    try {
        std::istringstream stream{with_end_marker(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Stop&) {
        return {};
    } catch (const YAML::Exception& failure) {
        const bool open = failure.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
        report.error(place_of(failure.mark), "",
                     "This is not valid YAML: " +
                         (open ? std::string("a quoted text above is not closed") : failure.msg) +
                         ".");
        return {};
    }
    return builder.take();
}

}  // namespace millrace::config
