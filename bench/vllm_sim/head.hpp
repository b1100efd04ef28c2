// Response heads as uvicorn writes them in front of vLLM. They are rendered here and not with the
// gateway's serializer, because faults need heads that the serializer refuses to write.
// Thread-safety: pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::vllm_sim {

/// Status line and fields of a response; ends with the empty line.
struct HeadOptions {
    int status = 200;
    std::string_view content_type = "application/json";
    bool chunked = false;
    bool has_length = true;
    std::uint64_t length = 0;
    bool close = false;
    std::uint32_t retry_after = 0;
    std::string_view request_id;  ///< echoed if not empty
};
void append_head(std::string& out, std::string_view date, const HeadOptions& options);

}  // namespace millrace::vllm_sim
