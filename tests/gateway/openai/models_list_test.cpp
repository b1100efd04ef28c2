#include "gateway/openai/models_list.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::openai {
namespace {

TEST(ModelsList, WritesTheListAndOneModel) {
    const std::vector<ModelEntry> models{{"org/a\"b", "millrace", 1735689600}, {"b", "me", -5}};
    EXPECT_EQ(
        models_list_body(models),
        R"({"object":"list","data":[{"id":"org/a\"b","object":"model","created":1735689600,"owned_by":"millrace"},)"
        R"({"id":"b","object":"model","created":0,"owned_by":"me"}]})");
    EXPECT_EQ(models_list_body({}), R"({"object":"list","data":[]})");
    EXPECT_EQ(model_body(models[1]), R"({"id":"b","object":"model","created":0,"owned_by":"me"})");
}

}  // namespace
}  // namespace millrace::openai
