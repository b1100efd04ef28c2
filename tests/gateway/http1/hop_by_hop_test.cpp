#include "gateway/http1/hop_by_hop.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::http1 {
namespace {

using Names = std::vector<std::string>;

Names forwarded_request(std::string_view fields) {
    const std::string bytes = "POST / HTTP/1.1\r\nHost: gw\r\n" + std::string(fields) + "\r\n";
    HeadParser parser;
    EXPECT_EQ(parser.parse(bytes), ParseStatus::complete) << fields;
    Names names;
    for (const auto& field : parser.head().fields.all()) {
        if (forwards_to_upstream(parser.head(), field)) {
            names.emplace_back(field.name);
        }
    }
    return names;
}

Names forwarded_response(std::string_view fields) {
    const std::string bytes = "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
    ResponseParser parser;
    EXPECT_EQ(parser.parse(bytes), ParseStatus::complete) << fields;
    Names names;
    for (const auto& field : parser.head().fields.all()) {
        if (forwards_to_client(parser.head(), field)) {
            names.emplace_back(field.name);
        }
    }
    return names;
}

TEST(HopByHop, DropsConnectionFieldsOfRequests) {
    EXPECT_EQ(
        forwarded_request("Keep-Alive: a\r\nProxy-Connection: a\r\nProxy-Authorization: a\r\n"
                          "TE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n"
                          "Connection: upgrade, http2-settings\r\nContent-Length: 1\r\n"
                          "Expect: 100-continue\r\nAuthorization: k\r\nX-Kept: 1\r\n"),
        (Names{"Authorization", "X-Kept"}));
}

TEST(HopByHop, DropsWhatConnectionNames) {
    EXPECT_EQ(forwarded_request("Connection: X-A, accept\r\nConnection: x-b\r\nx-a: 1\r\nX-B: 2\r\n"
                                "Accept: 3\r\nx-c: 4\r\n"),
              (Names{"x-c"}));
    EXPECT_EQ(forwarded_response("Connection: x-a\r\nX-A: 1\r\nx-b: 2\r\nContent-Length: 0\r\n"),
              (Names{"x-b"}));
}

TEST(HopByHop, DropsReservedNamesOfClients) {
    EXPECT_EQ(forwarded_request("X-Millrace-Tenant: a\r\nx-gateway-destination-endpoint: a\r\n"
                                "X-LLM-D-a: b\r\nx-millrac: c\r\nX-Gateway: d\r\n"),
              (Names{"x-millrac", "X-Gateway"}));
}

TEST(HopByHop, DropsServerAndOursFromResponses) {
    EXPECT_EQ(
        forwarded_response("Server: uvicorn\r\nX-Millrace-Model: a\r\nDate: d\r\n"
                           "Content-Type: a/b\r\nTransfer-Encoding: chunked\r\nSet-Cookie: c\r\n"
                           "Keep-Alive: t\r\nProxy-Authenticate: x\r\n"),
        (Names{"Date", "Content-Type", "Set-Cookie"}));
}

TEST(HopByHop, KeepsProtectedFieldsThatAResponseNames) {
    EXPECT_EQ(
        forwarded_response("Connection: content-type, transfer-encoding\r\nContent-Type: a/b\r\n"
                           "Transfer-Encoding: chunked\r\n"),
        (Names{"Content-Type"}));
}

}  // namespace
}  // namespace millrace::http1
