#include "gateway/http1/serializer.hpp"

#include <charconv>
#include <cstring>

#include "gateway/http1/characters.hpp"

namespace millrace::http1 {
namespace {

char* put(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
}

/// Appends the pieces in one growth of the string.
template <class... Pieces>
void append(std::string& out, Pieces... pieces) {
    const std::size_t old_size = out.size();
    const std::size_t new_size = old_size + (pieces.size() + ...);
    // The size given to the callback is not used: libstdc++ 12 passes the capacity when it had to
    // grow.
    out.resize_and_overwrite(new_size, [&](char* data, std::size_t) {
        char* at = data + old_size;
        ((at = put(at, pieces)), ...);
        return new_size;
    });
}

/// Replaces control bytes in [begin, begin + size) by spaces; false if there were any.
bool clean(std::string& out, std::size_t begin, std::size_t size) {
    char* const end = out.data() + begin + size;
    bool was_clean = true;
    for (const char* at = find_control(out.data() + begin, end); at != end;
         at = find_control(at, end)) {
        out[static_cast<std::size_t>(at - out.data())] = ' ';
        was_clean = false;
    }
    return was_clean;
}

bool is_visible(std::string_view text) {
    for (const char c : text) {
        if (c < 0x21 || c > 0x7e) {
            return false;
        }
    }
    return !text.empty();
}

}  // namespace

bool HeadWriter::request_line(std::string_view method, std::string_view target) {
    if (!is_token(method) || !is_visible(target)) {
        return false;
    }
    append(out_, method, std::string_view{" "}, target, std::string_view{" HTTP/1.1\r\n"});
    return true;
}

void HeadWriter::status_line(int status, std::string_view reason) {
    const std::array<char, 3> digits{static_cast<char>('0' + status / 100 % 10),
                                     static_cast<char>('0' + status / 10 % 10),
                                     static_cast<char>('0' + status % 10)};
    const auto text = reason.empty() ? reason_phrase(status) : reason;
    append(out_, std::string_view{"HTTP/1.1 "}, std::string_view{digits.data(), digits.size()},
           std::string_view{" "}, text, std::string_view{"\r\n"});
    clean(out_, out_.size() - text.size() - 2, text.size());
}

bool HeadWriter::field(std::string_view name, std::string_view value) {
    if (!is_token(name)) {
        return false;
    }
    append(out_, name, std::string_view{": "}, value, std::string_view{"\r\n"});
    return clean(out_, out_.size() - value.size() - 2, value.size());
}

void HeadWriter::field(std::string_view name, std::uint64_t value) {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    field(name, std::string_view{digits.data(), static_cast<std::size_t>(end - digits.data())});
}

ChunkHeader::ChunkHeader(std::uint64_t size) : begin_(text_.size() - 2) {
    text_[begin_] = '\r';
    text_[begin_ + 1] = '\n';
    do {
        text_[--begin_] = "0123456789abcdef"[size & 0xfU];
        size >>= 4U;
    } while (size != 0);
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100: return "Continue";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 499: return "Client Closed Request";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 529: return "Overloaded";
        default: return "Status";
    }
}

}  // namespace millrace::http1
