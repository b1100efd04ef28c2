#include "gateway/http1/field_line.hpp"

namespace millrace::http1 {

std::string printable_name(std::string_view text) {
    constexpr std::size_t kLongest = 64;
    std::string out(text.substr(0, kLongest));
    for (char& c : out) {
        if (!is_token_char(c)) {
            c = '?';
        }
    }
    if (text.size() > kLongest) {
        out += "...";
    }
    return out;
}

}  // namespace millrace::http1
