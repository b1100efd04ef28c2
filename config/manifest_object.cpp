#include "config/manifest_object.hpp"

#include <algorithm>

#include "config/syntax.hpp"

namespace millrace::config {

namespace {

const YamlNode kEmpty{};
const std::vector<YamlNode> kNoItems{};

}  // namespace

std::optional<std::string> manifest_text(const YamlNode& node, const std::string& path,
                                         Report& report) {
    if (!node.is_scalar()) {
        report.error(node.place, path, "Expected text.");
        return std::nullopt;
    }
    if (has_control_characters(node.scalar)) {
        report.error(node.place, path, "The text contains a control character.");
        return std::nullopt;
    }
    return node.scalar;
}

ManifestObject::ManifestObject(const YamlNode& node, std::string path, Report& report)
    : node_(&node), path_(std::move(path)), report_(report) {
    if (!node.is_mapping()) {
        report_.error(node.place, path_, "Expected a mapping of keys to values.");
        node_ = &kEmpty;
    }
}

const YamlNode* ManifestObject::get(std::string_view key) {
    known_.push_back(key);
    const auto* entry = node_->find(key);
    return entry == nullptr || entry->value.is_null() ? nullptr : &entry->value;
}

std::optional<std::string> ManifestObject::text(std::string_view key) {
    const auto* node = get(key);
    return node == nullptr ? std::nullopt : manifest_text(*node, path_of(key), report_);
}

std::optional<std::uint64_t> ManifestObject::count(std::string_view key, std::uint64_t min,
                                                   std::uint64_t max) {
    const auto* node = get(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    const auto value =
        node->is_scalar() && !node->quoted ? parse_count(node->scalar) : std::nullopt;
    if (!value || *value < min || *value > max) {
        error(key, "Expected a whole number between " + std::to_string(min) + " and " +
                       std::to_string(max) + ".");
        return std::nullopt;
    }
    return value;
}

std::optional<Duration> ManifestObject::duration(std::string_view key) {
    const auto* node = get(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    auto value = node->is_scalar() ? parse_duration(node->scalar) : std::nullopt;
    if (!value || node->scalar == "0") {
        error(key,
              "Expected a Gateway API duration such as `500ms`, `10s` or `1h30m`; `0s` = no "
              "limit.");
        return std::nullopt;
    }
    return value;
}

const std::vector<YamlNode>& ManifestObject::list(std::string_view key, std::size_t max) {
    const auto* node = get(key);
    if (node == nullptr) {
        return kNoItems;
    }
    if (!node->is_sequence()) {
        error(key, "Expected a list.");
        return kNoItems;
    }
    if (node->items.size() > max) {
        error(key, "The list has " + std::to_string(node->items.size()) +
                       " items; the Gateway API allows " + std::to_string(max) + ".");
        return kNoItems;
    }
    return node->items;
}

Place ManifestObject::place_of(std::string_view key) const {
    const auto* entry = node_->find(key);
    return entry == nullptr ? node_->place : entry->value.place;
}

void ManifestObject::error(std::string_view key, std::string message, std::string suggestion) {
    report_.error(place_of(key), path_of(key), std::move(message), std::move(suggestion));
}

void ManifestObject::warning(std::string_view key, std::string message, std::string suggestion) {
    report_.warning(place_of(key), path_of(key), std::move(message), std::move(suggestion));
}

void ManifestObject::ignore(std::initializer_list<std::string_view> keys) {
    known_.insert(known_.end(), keys);
}

void ManifestObject::unsupported(std::initializer_list<std::string_view> keys) {
    for (const auto key : keys) {
        if (get(key) != nullptr) {
            warning(key, "Millrace does not act on " + in_ticks(key) + "; it is ignored.");
        }
    }
}

void ManifestObject::finish() {
    for (const auto& entry : node_->entries) {
        if (std::ranges::find(known_, entry.key) == known_.end()) {
            report_.warning(entry.place, path_of(entry.key),
                            "Unknown key " + in_ticks(entry.key) + " is ignored.",
                            did_you_mean(entry.key, known_));
        }
    }
}

}  // namespace millrace::config
