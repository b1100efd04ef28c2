#include "config/base/percent.hpp"

namespace millrace {

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int value = text[i] == '%' ? escape_value(text, i) : -1;
        out += value < 0 ? text[i] : static_cast<char>(value);
        i += value < 0 ? 0 : 2;
    }
    return out;
}

std::optional<std::string> percent_decoded_strictly(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int value = escape_value(text, i);
            if (value < 0) {
                return std::nullopt;
            }
            c = static_cast<char>(value);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            return std::nullopt;
        }
        out += c;
    }
    return out;
}

}  // namespace millrace
