#include "bench/vllm_sim/request_reader.hpp"

#include <utility>

namespace millrace::vllm_sim {
namespace {

constexpr std::uint64_t kMaxBody = 256U << 20U;

}  // namespace

RequestReader::Status RequestReader::fail(std::string why) {
    error_ = std::move(why);
    return Status::failed;
}

RequestReader::Status RequestReader::read(std::string_view& data) {
    if (!in_body_) {
        const auto status = parser_.parse(data);
        if (!status) {
            return fail(status.error().detail);
        }
        if (*status == http1::ParseStatus::need_more) {
            return Status::need_more;
        }
        copy_head();
        data.remove_prefix(parser_.consumed());
        parser_.reset();
        if (framing_.kind == http1::BodyKind::length && framing_.content_length > kMaxBody) {
            return fail("The body is larger than 256 MiB.");
        }
        in_body_ = true;
    }
    return read_body(data);
}

void RequestReader::copy_head() {
    const http1::RequestHead& head = parser_.head();
    incoming_.method = head.method;
    incoming_.path = head.path;
    incoming_.query = head.query;
    incoming_.request_id = head.value(http1::KnownField::x_request_id);
    incoming_.api = head.method == http1::Method::post ? api_of(head.path) : Api::none;
    incoming_.keep_alive = head.keep_alive;
    incoming_.http_1_0 = head.minor_version == 0;
    incoming_.controls = {};
    incoming_.bad_control.clear();
    for (const HeaderField& field : head.fields.all()) {
        if (field.known == 0 && incoming_.bad_control.empty()) {
            incoming_.bad_control = read_controls(incoming_.controls, field);
        }
    }
    framing_ = head.framing;
    expects_continue_ = head.expect_continue;
    chunks_.reset();
    chunked_body_.clear();
}

RequestReader::Status RequestReader::read_body(std::string_view& data) {
    if (framing_.kind == http1::BodyKind::chunked) {
        const auto used =
            chunks_.decode(data, [this](std::string_view piece) { chunked_body_ += piece; });
        if (!used) {
            return fail(used.error().detail);
        }
        data.remove_prefix(*used);
        if (chunked_body_.size() > kMaxBody) {
            return fail("The body is larger than 256 MiB.");
        }
        if (!chunks_.done()) {
            return Status::need_more;
        }
        incoming_.body = chunked_body_;
    } else {
        const std::size_t size =
            framing_.kind == http1::BodyKind::length ? framing_.content_length : 0;
        if (data.size() < size) {
            return Status::need_more;
        }
        incoming_.body = data.substr(0, size);
        data.remove_prefix(size);
    }
    in_body_ = false;
    return Status::complete;
}

bool RequestReader::take_expectation() {
    return in_body_ && std::exchange(expects_continue_, false);
}

}  // namespace millrace::vllm_sim
