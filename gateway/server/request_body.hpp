// RequestBody: BodySource over a Client. A body that came with its head is not copied; any other is
// read once, directly into one buffer of its size, at a minimum rate. Thread-safety: none; one per
// request.
#pragma once

#include "config/model.hpp"
#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/head_parser.hpp"
#include "gateway/pipeline/ports.hpp"
#include "gateway/server/client.hpp"

namespace millrace::gateway {

class RequestBody final : public BodySource {
public:
    /// `parser` has read the head, which is the beginning of `client.in`.
    RequestBody(Client& client, http1::HeadParser& parser, const config::ClientTimeouts& timeouts);

    Task<Result<std::string_view>> read_all(std::uint64_t limit, BudgetLease& lease,
                                            BodyObserver* observer) override;
    void release() override;

    /// The body has been read, or (without waiting) can be skipped because it is all here.
    /// Otherwise the connection cannot carry another request.
    bool skip();

private:
    Task<Result<std::string_view>> read_length(std::uint64_t size, BudgetLease& lease,
                                               BodyObserver* observer);
    Task<Result<std::string_view>> read_chunked(std::uint64_t limit, BudgetLease& lease,
                                                BodyObserver* observer);
    /// Once nothing of it is missing: what the client does from here on is looked at.
    Result<std::string_view> taken(Result<std::string_view> body);
    Result<void> take_chunks(std::string_view raw, std::uint64_t limit, BudgetLease& lease);
    /// Reads into `target`; an error ends the request.
    Task<Result<void>> receive(Buffer& target, std::size_t most);
    Task<bool> send_continue();
    void keep_surplus(std::string_view bytes);
    void begin_clock();
    void earn_time(std::uint64_t bytes);

    Client& client_;
    http1::HeadParser& parser_;
    const http1::RequestHead& head_;
    std::size_t head_size_;
    const config::ClientTimeouts& timeouts_;
    http1::ChunkDecoder chunks_;
    Buffer body_;
    Instant deadline_{};  // by then the client has fallen behind the rate
    std::uint64_t received_ = 0;
    bool read_ = false;
};

}  // namespace millrace::gateway
