#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gateway/admin/control_server.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;

/// Answers with what the handler was given.
ControlRoute echo(const std::string& method, const std::string& pattern) {
    return {method, pattern, [pattern](const ControlRequest& request) {
                ControlResponse response;
                response.body =
                    pattern + "|" + request.path + "|" + request.capture + "|" + request.body;
                for (const auto& [name, value] : request.query) {
                    response.body += "|" + name + "=" + value;
                }
                return response;
            }};
}

const std::vector<ControlRoute> kRoutes{echo("GET", "/status"), echo("POST", "/drain"),
                                        echo("GET", "/drain"), echo("GET", "/models/{id}")};

struct Case {
    const char* method;
    const char* target;
    unsigned status;
    const char* body;  ///< only for 200
};

TEST(Dispatch, FindsTheRouteAndDecodesWhatItCaptures) {
    for (const auto& c : {
             Case{"GET", "/status", 200, "/status|/status||b"},
             Case{"HEAD", "/status", 200, "/status|/status||b"},
             Case{"POST", "/drain", 200, "/drain|/drain||b"},
             Case{"GET", "/status?", 200, "/status|/status||b"},
             Case{"GET", "/status?a=1&b=%2Fx+y&a=2&c&=z&&", 200,
                  "/status|/status||b|a=1|b=/x y|c="},
             Case{"GET", "/models/llama", 200, "/models/{id}|/models/llama|llama|b"},
             Case{"GET", "/models/org%2Fllama", 200, "/models/{id}|/models/org/llama|org/llama|b"},
             Case{"GET", "/models/org/llama", 200, "/models/{id}|/models/org/llama|org/llama|b"},
             Case{"GET", "/models/a%252Fb", 200, "/models/{id}|/models/a%2Fb|a%2Fb|b"},
             Case{"GET", "/models/a+b", 200, "/models/{id}|/models/a+b|a+b|b"},
             Case{"GET", "/models/", 404, ""},
             Case{"GET", "/models", 404, ""},
             Case{"GET", "/models%2Fllama", 404, ""},
             Case{"GET", "/statu", 404, ""},
             Case{"GET", "/status/", 404, ""},
             Case{"GET", "", 404, ""},
             Case{"GET", "/models/a%2", 400, ""},
             Case{"GET", "/models/a%zz", 400, ""},
             Case{"GET", "/models/a%00", 400, ""},
             Case{"GET", "/models/a%0d%0a", 400, ""},
             Case{"GET", "/status?a=%", 400, ""},
             Case{"POST", "/status", 405, ""},
             Case{"get", "/status", 405, ""},
             Case{"DELETE", "/models/llama", 405, ""},
         }) {
        const auto response = dispatch(kRoutes, c.method, c.target, "b");
        EXPECT_EQ(response.status, c.status) << c.method << " " << c.target;
        if (c.status == 200) {
            EXPECT_EQ(response.body, c.body) << c.target;
        } else {
            const auto json = nlohmann::json::parse(response.body, nullptr, false);
            ASSERT_TRUE(json.is_object()) << response.body;
            EXPECT_TRUE(json["error"]["message"].is_string());
            EXPECT_TRUE(json["error"]["code"].is_string());
        }
    }
}

TEST(Dispatch, ListsTheMethodsThatAPathAnswers) {
    const auto response = dispatch(kRoutes, "PUT", "/drain", "");
    EXPECT_EQ(response.status, 405U);
    EXPECT_THAT(response.headers, testing::Contains(testing::Pair("allow", "POST, GET, HEAD")));
}

TEST(Dispatch, QuotesOddPathsAsValidJson) {
    for (const char* target : {"/\"quoted\"", "/\xff\xfe", "/%ff", "/back\\slash"}) {
        const auto response = dispatch(kRoutes, "GET", target, "");
        EXPECT_EQ(response.status, 404U);
        EXPECT_TRUE(nlohmann::json::accept(response.body)) << response.body;
    }
}

}  // namespace
}  // namespace millrace::gateway
