#include "bench/vllm_sim/head.hpp"

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::string_view reason(int status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 422: return "Unprocessable Entity";
        case 429: return "Too Many Requests";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        default: return "Simulated";
    }
}

}  // namespace

void append_head(std::string& out, std::string_view date, const HeadOptions& options) {
    append(out, "HTTP/1.1 ", options.status, " ", reason(options.status), "\r\ndate: ", date,
           "\r\nserver: uvicorn\r\n");
    if (options.has_length) {
        append(out, "content-length: ", options.length, "\r\n");
    }
    if (!options.content_type.empty()) {
        append(out, "content-type: ", options.content_type, "\r\n");
    }
    if (options.retry_after > 0) {
        append(out, "retry-after: ", options.retry_after, "\r\n");
    }
    if (!options.request_id.empty()) {
        append(out, "x-request-id: ", options.request_id, "\r\n");
    }
    out += options.close ? "connection: close\r\n" : "";
    out += options.chunked ? "transfer-encoding: chunked\r\n\r\n" : "\r\n";
}

}  // namespace millrace::vllm_sim
