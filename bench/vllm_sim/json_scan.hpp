// A light look into a JSON object without building a DOM: iterates over the members of one object
// as raw spans. Strings and brackets are balanced, but what is skipped is not validated further; a
// served model would. Bodies of benchmarks are scanned at memory speed (memchr inside strings).
// Thread-safety: pure functions over views.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::vllm_sim {

struct Member {
    std::string key;         ///< unescaped
    std::string_view value;  ///< raw JSON, without surrounding whitespace
};

/// Members of the object that `json` is, in order. After next() returned nothing, failed() tells
/// malformed from done.
class ObjectScanner {
public:
    explicit ObjectScanner(std::string_view json);
    bool next(Member& member);
    bool failed() const { return failed_; }

private:
    bool fail();
    void skip_space();

    std::string_view json_;
    std::size_t at_ = 0;
    bool first_ = true;
    bool failed_ = false;
    bool done_ = false;
};

/// Raw value of one member of a (small) object; empty if absent or malformed.
std::string_view member_of(std::string_view object, std::string_view key);

/// Number of elements of a raw array; 0 for an empty one and for what is not an array.
std::uint32_t array_size(std::string_view raw);

/// End of the JSON value that starts at `at`, or npos.
std::size_t skip_value(std::string_view json, std::size_t at);

bool is_string(std::string_view raw);
bool is_true(std::string_view raw);
/// The decoded text of a raw JSON string; empty for anything else.
std::string text_of(std::string_view raw);

}  // namespace millrace::vllm_sim
