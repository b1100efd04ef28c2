// One client connection: sends a request that the caller owns, reads its response, and tells a
// handler. It opens itself when a request is sent and reopens after `connection: close`. Every
// response is parsed strictly (millrace::http1), so an answer that is malformed, short or too long
// is a failure and not a number. Thread-safety: none; one loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/load/loop.hpp"
#include "bench/load/options.hpp"
#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/response_parser.hpp"

namespace millrace::load {

class Connection;

class Handler {
public:
    /// A piece of the decoded body; a chunk in one read is one piece.
    virtual void on_body(Connection& /*connection*/, std::string_view /*piece*/) {}
    /// The pieces of one read() have been delivered.
    virtual void on_read(Connection& /*connection*/) {}
    /// The response is complete. May send the next request.
    virtual void on_response(Connection& connection) = 0;
    /// The request failed; the connection is closed. May send again.
    virtual void on_failure(Connection& connection, std::string_view why) = 0;
    /// The peer closed while nothing was asked of it.
    virtual void on_idle_close(Connection& /*connection*/) {}

protected:
    ~Handler() = default;
};

class Connection final : public Pollable {
public:
    Connection(Loop& loop, Handler& handler, const Options& options, std::uint32_t index);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { close(); }

    /// Both views live until the response or the failure.
    void send(std::string_view head, std::string_view body);

    void close();
    /// Closes with RST, as a client does that is killed.
    void reset();

    std::uint32_t index() const { return index_; }
    int status() const { return status_; }  ///< 0 until the head has been read
    bool is_open() const { return fd_ >= 0; }
    std::uint64_t opened() const { return opened_; }  ///< how often it connected

    void on_ready(std::uint32_t events) override;

private:
    bool open();
    void flush();
    void want_write(bool wanted);
    void read();
    void consume(std::string_view data);
    bool take_head(std::string_view data, std::string_view& rest);
    void take_body(std::string_view rest);
    void take_chunks(std::string_view rest);
    void end_of_file();
    void complete(std::string_view rest);
    void fail(std::string_view why);

    Loop& loop_;
    Handler& handler_;
    const Options& options_;
    std::uint32_t index_;
    int fd_ = -1;
    bool connecting_ = false;
    bool wants_write_ = false;
    bool busy_ = false;  ///< a request is out
    std::string_view head_;
    std::string_view body_;
    std::size_t sent_ = 0;
    std::uint64_t opened_ = 0;

    http1::ResponseParser parser_;
    http1::ChunkDecoder chunks_{Origin::upstream};
    std::string held_;  ///< an incomplete head
    bool has_head_ = false;
    int status_ = 0;
    std::uint64_t body_left_ = 0;
};

}  // namespace millrace::load
