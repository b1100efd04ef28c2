// Multipart: whatever is accepted stays accepted after the edit, and then names the served model.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/openai/multipart.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    // The first line is the Content-Type.
    const std::size_t line = input.find('\n');
    if (line == std::string_view::npos) {
        return 0;
    }
    const std::string_view type = input.substr(0, line);
    const std::string body(input.substr(line + 1));
    const auto fields = millrace::openai::read_multipart(type, body);
    if (fields) {
        const auto edit = millrace::openai::edits_for(*fields, "served");
        const auto again = millrace::openai::read_multipart(type, edit.apply(body));
        if (!again || again->model != "served") {
            std::abort();
        }
    }
    return 0;
}
