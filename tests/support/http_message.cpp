#include "tests/support/http_message.hpp"

#include <algorithm>
#include <charconv>

namespace millrace::test {

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
        text.remove_suffix(1);
    }
    return text;
}

/// Result of looking for the end of a body in `text`: how much belongs to it, decoded.
struct Body {
    std::size_t size = 0;
    std::string decoded;
    bool complete = false;
};

Body chunked_body(std::string_view text) {
    Body body;
    std::size_t at = 0;
    for (;;) {
        const auto line_end = text.find("\r\n", at);
        if (line_end == std::string_view::npos) {
            body.size = text.size();
            return body;
        }
        std::size_t size = 0;
        std::from_chars(text.data() + at, text.data() + line_end, size, 16);
        at = line_end + 2;
        if (size == 0) {
            break;
        }
        body.decoded.append(text.substr(std::min(at, text.size()), size));
        if (text.size() < at + size + 2) {
            body.size = text.size();
            return body;
        }
        at += size + 2;
    }
    for (;;) {  // trailer section
        const auto line_end = text.find("\r\n", at);
        if (line_end == std::string_view::npos) {
            body.size = text.size();
            return body;
        }
        const bool empty = line_end == at;
        at = line_end + 2;
        if (empty) {
            body.size = at;
            body.complete = true;
            return body;
        }
    }
}

Message parse_head(std::string_view head) {
    Message message;
    bool first = true;
    while (!head.empty()) {
        const auto end = head.find("\r\n");
        const auto line = head.substr(0, end);
        head = end == std::string_view::npos ? std::string_view{} : head.substr(end + 2);
        if (first) {
            message.start_line = line;
            first = false;
        } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
            message.headers.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
        }
    }
    return message;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

int Message::status() const {
    if (!start_line.starts_with("HTTP/")) {
        return 0;
    }
    int value = 0;
    const auto space = start_line.find(' ');
    if (space != std::string::npos) {
        std::from_chars(start_line.data() + space + 1, start_line.data() + start_line.size(),
                        value);
    }
    return value;
}

std::string Message::method() const {
    return start_line.substr(0, start_line.find(' '));
}

std::string Message::target() const {
    const auto first = start_line.find(' ');
    const auto second = start_line.find(' ', first + 1);
    return first == std::string::npos ? "" : start_line.substr(first + 1, second - first - 1);
}

std::string Message::header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
        if (same_name(key, name)) {
            return value;
        }
    }
    return {};
}

std::size_t Message::count(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        headers, [&](const auto& field) { return same_name(field.first, name); }));
}

nlohmann::json Message::json() const {
    return nlohmann::json::parse(body, nullptr, false);
}

std::string Message::error_code() const {
    const auto document = json();
    if (!document.is_object() || !document.contains("error") || !document["error"].is_object()) {
        return {};
    }
    const auto& error = document["error"];
    if (error.contains("code") && error["code"].is_string()) {
        return error["code"];
    }
    return error.contains("type") && error["type"].is_string() ? error["type"].get<std::string>()
                                                               : std::string{};
}

std::string Message::error_message() const {
    const auto document = json();
    if (!document.is_object() || !document.contains("error") || !document["error"].is_object() ||
        !document["error"].contains("message")) {
        return {};
    }
    return document["error"]["message"];
}

std::optional<Message> MessageReader::partial() const {
    const auto end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) {
        return std::nullopt;
    }
    Message message = parse_head(std::string_view(buffer_).substr(0, end));
    message.chunked = message.header("transfer-encoding") == "chunked";
    const auto rest = std::string_view(buffer_).substr(end + 4);
    message.body = message.chunked ? chunked_body(rest).decoded : std::string(rest);
    message.raw = buffer_;
    return message;
}

std::optional<Message> MessageReader::next(bool at_end) {
    const auto end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) {
        return std::nullopt;
    }
    Message message = parse_head(std::string_view(buffer_).substr(0, end));
    const auto rest = std::string_view(buffer_).substr(end + 4);
    const int status = message.status();
    Body body;
    const bool bodyless =
        kind_ == MessageReader::Kind::response &&
        (no_body_ || (status >= 100 && status < 200) || status == 204 || status == 304);
    message.chunked = message.header("transfer-encoding") == "chunked";
    if (bodyless) {
        body.complete = true;
    } else if (message.chunked) {
        body = chunked_body(rest);
    } else if (message.has("content-length")) {
        const auto text = message.header("content-length");
        std::size_t length = 0;
        std::from_chars(text.data(), text.data() + text.size(), length);
        body.size = std::min(length, rest.size());
        body.decoded = rest.substr(0, body.size);
        body.complete = body.size == length;
    } else if (kind_ == MessageReader::Kind::response) {  // ends with the connection
        body.size = rest.size();
        body.decoded = rest;
        body.complete = at_end;
    } else {
        body.complete = true;
    }
    if (!body.complete && !at_end) {
        return std::nullopt;
    }
    message.complete = body.complete;
    message.body = std::move(body.decoded);
    message.raw = buffer_.substr(0, end + 4 + body.size);
    buffer_.erase(0, end + 4 + body.size);
    return message;
}

std::string request(std::string_view method, std::string_view target, const Headers& headers,
                    std::string_view body) {
    std::string text;
    text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: gateway.test\r\n");
    for (const auto& [name, value] : headers) {
        text.append(name).append(": ").append(value).append("\r\n");
    }
    if (!body.empty()) {
        text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    }
    return text.append("\r\n").append(body);
}

std::string post_text(std::string_view target, std::string_view body, Headers headers) {
    headers.emplace_back("Content-Type", "application/json");
    return request("POST", target, headers, body);
}

std::string post(std::string_view target, const nlohmann::json& body, Headers headers) {
    return post_text(target, body.dump(), std::move(headers));
}

nlohmann::json chat(std::string_view model, bool stream, std::string_view text) {
    nlohmann::json body = {
        {"model", model},
        {"messages", nlohmann::json::array({{{"role", "user"}, {"content", text}}})}};
    if (stream) {
        body["stream"] = true;
    }
    return body;
}

std::string response(int status, std::string_view body, const Headers& headers) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Any\r\n";
    for (const auto& [name, value] : headers) {
        text.append(name).append(": ").append(value).append("\r\n");
    }
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
    return text.append(body);
}

std::string json_response(const nlohmann::json& body, int status) {
    return response(status, body.dump(), {{"Content-Type", "application/json"}});
}

std::string stream_head() {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
           "Transfer-Encoding: chunked\r\n\r\n";
}

std::string chunk(std::string_view bytes) {
    char size[17];
    const auto end = std::to_chars(size, size + sizeof size, bytes.size(), 16).ptr;
    return std::string(size, end).append("\r\n").append(bytes).append("\r\n");
}

}  // namespace millrace::test
