// Bodies of GET /v1/models and GET /v1/models/{id}, from plain values. Thread-safety: pure
// functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace millrace::openai {

struct ModelEntry {
    std::string id;
    std::string owned_by;
    std::int64_t created = 0;  ///< seconds since the Unix epoch
};

std::string models_list_body(std::span<const ModelEntry> models);
std::string model_body(const ModelEntry& model);

}  // namespace millrace::openai
