#include "gateway/server/response_writer.hpp"

#include <array>
#include <optional>

#include "gateway/http1/serializer.hpp"

namespace millrace::gateway {

ResponseWriter::ResponseWriter(Client& client, RequestBody& body, ByteBudget& budget,
                               const ResponseRules& rules, std::string& head,
                               std::vector<std::string_view>& gather)
    : client_(client), body_(body), budget_(budget), rules_(rules), head_(head), gather_(gather) {}

void ResponseWriter::begin(const AnswerHead& head) {
    if (!body_.skip()) {
        rules_.keep_alive = false;
    }
    head_.clear();
    http1::HeadWriter writer(head_);
    writer.status_line(head.status);
    for (const auto& field : head.fields) {
        writer.field(field.name, field.value);
    }
    if (!head.has_body || rules_.is_head) {
        mode_ = Mode::none;
        if (head.content_length && head.status != 204) {
            writer.content_length(*head.content_length);
        }
    } else if (head.content_length) {
        mode_ = Mode::length;
        writer.content_length(*head.content_length);
    } else if (!rules_.is_http10) {
        mode_ = Mode::chunked;
        writer.chunked();
    } else {
        mode_ = Mode::until_close;
        rules_.keep_alive = false;
    }
    if (!rules_.keep_alive) {
        writer.close();
    }
    writer.end();
}

Task<bool> ResponseWriter::write(Pieces pieces, bool last) {
    const std::size_t body = mode_ == Mode::none ? 0 : total_size(pieces);
    gather_.clear();
    gather_.push_back(head_);
    std::optional<http1::ChunkHeader> chunk;
    if (body > 0) {
        if (mode_ == Mode::chunked) {
            chunk.emplace(body);
            gather_.push_back(chunk->view());
        }
        gather_.insert(gather_.end(), pieces.begin(), pieces.end());
        if (mode_ == Mode::chunked) {
            gather_.push_back(http1::kChunkEnd);
        }
    }
    if (last && mode_ == Mode::chunked) {
        gather_.push_back(http1::kLastChunk);
    }
    const std::size_t size = total_size(gather_);
    if (size == 0) {
        complete_ = complete_ || last;
        co_return true;
    }
    if (!co_await client_.write_all(gather_, rules_.write_stall, budget_)) {
        co_return false;
    }
    written_ += size;
    if (!head_.empty() && !last) {
        std::string().swap(head_);  // what follows may last for minutes
    }
    head_.clear();
    complete_ = last;
    co_return true;
}

Task<void> ResponseWriter::cut(std::string_view farewell) {
    rules_.keep_alive = false;
    std::array<std::string_view, 1> pieces{farewell};
    if (!farewell.empty() && !co_await write(pieces, /*last=*/false)) {
        co_return;
    }
    complete_ = false;
    if (mode_ == Mode::until_close) {
        client_.close(/*reset=*/true);  // an orderly end would be the end of the answer
    } else {
        client_.socket.shutdown_write();
    }
}

Task<bool> ResponseWriter::respond(const AnswerHead& head, std::string_view body, bool closes) {
    if (closes) {
        rules_.keep_alive = false;
    }
    begin(head);
    std::array<std::string_view, 1> pieces{body};
    co_return co_await write(pieces, /*last=*/true);
}

}  // namespace millrace::gateway
