#include "gateway/openai/multipart.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::openai {
namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=XyZ";

std::string part(std::string_view disposition, std::string_view content) {
    return "--XyZ\r\nContent-Disposition: form-data; " + std::string(disposition) + "\r\n\r\n" +
           std::string(content) + "\r\n";
}
std::string file(std::string_view bytes) {
    return "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; "
           "filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n" +
           std::string(bytes) + "\r\n";
}
const std::string kEnd = "--XyZ--\r\n";

Errc code(std::string_view body, std::string_view type = kType) {
    const auto fields = read_multipart(type, body);
    return fields ? Errc::kErrcCount : fields.error().code;
}

TEST(Multipart, FindsModelAndStreamAnywhere) {
    const std::string model = part("name=\"model\"", "whisper-1");
    const std::string stream = part("name=stream", "true");
    for (const std::string& body : {model + file("RIFF\r\n--Xy\r\n") + stream + kEnd,
                                    file(std::string(100'000, '-')) + stream + model + kEnd,
                                    stream + file("") + model + "--XyZ--"}) {
        const auto fields = read_multipart(kType, body);
        ASSERT_TRUE(fields) << fields.error().detail;
        EXPECT_EQ(fields->model, "whisper-1");
        EXPECT_EQ(body.substr(fields->model_value->offset, fields->model_value->length),
                  "whisper-1");
        EXPECT_TRUE(fields->stream);
        EXPECT_EQ(fields->parts, 3U);
    }
}

TEST(Multipart, EditsOrAddsTheModel) {
    const std::string body = part("name=\"model\"", "old") + file("x") + kEnd;
    const auto fields = read_multipart(kType, body);
    EXPECT_EQ(edits_for(*fields, "longer-name").apply(body),
              part("name=\"model\"", "longer-name") + file("x") + kEnd);
    EXPECT_TRUE(edits_for(*fields, "old").empty());
    const std::string without = file("x") + kEnd;
    const std::string added = edits_for(*read_multipart(kType, without), "new").apply(without);
    EXPECT_EQ(read_multipart(kType, added)->model, "new");
    EXPECT_TRUE(added.ends_with(without));
}

TEST(Multipart, ReadsHeadersLikeTheirReaders) {
    EXPECT_EQ(read_multipart("Multipart/Form-Data; charset=x; Boundary=\"XyZ\"",
                             part("name=model", "m") + kEnd)
                  ->model,
              "m");
    const std::string headers =
        "--XyZ\r\ncontent-type: text/plain\r\nCONTENT-DISPOSITION:form-data ; "
        "name=\"model\"\r\n\r\nm\r\n" +
        kEnd;
    EXPECT_EQ(read_multipart(kType, headers)->model, "m");
    EXPECT_EQ(read_multipart(kType, part("name=\"mo\\\"del\"", "m") + kEnd)->model, std::nullopt);
    EXPECT_EQ(read_multipart(kType, part("name=\"x\"; filename=\"model\"", "m") + kEnd)->model,
              std::nullopt);
    EXPECT_EQ(read_multipart(kType, kEnd)->parts, 0U);
}

TEST(Multipart, RefusesWhatReadersWouldSeeDifferently) {
    const std::string model = part("name=\"model\"", "m");
    for (const std::string& body : std::vector<std::string>{
             "",
             "preamble\r\n" + model + kEnd,
             model,
             model + "--XyZ",
             model + "--XyZ--x",
             "--XyZ\n" + model + kEnd,
             "--XyZ\r\n\r\nbody\r\n" + kEnd,
             part("filename=\"x\"", "m") + kEnd,
             part("name=\"model", "m") + kEnd,
             part("name=\"model\"; name=\"x\"", "m") + kEnd,
             part("name*=utf-8''model", "m") + kEnd,
             part("name=\"model\"; filename=\"f\"", "m") + kEnd,
             part("name=\"model\" x", "m") + kEnd,
             "--XyZ\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nm\r\n" + kEnd,
             "--XyZ\r\nContent-Disposition: form-data; "
             "name=\"model\"\r\nContent-Transfer-Encoding: base64\r\n\r\nbQ==\r\n" +
                 kEnd,
             "--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Disposition: "
             "form-data; name=\"x\"\r\n\r\nm\r\n" +
                 kEnd,
             "--XyZ\r\nContent-Disposition: form-data;\r\n name=\"model\"\r\n\r\nm\r\n" + kEnd,
             "--XyZ\r\nno colon\r\n\r\nm\r\n" + kEnd,
             model + "--XyZtail\r\n\r\n" + kEnd,
             "--XyZ\r\n" + std::string(10'000, 'h') + ": x\r\n\r\nm\r\n" + kEnd}) {
        EXPECT_EQ(code(body), Errc::bad_multipart) << body.substr(0, 200);
    }
    EXPECT_EQ(code(model + model + kEnd), Errc::duplicate_key);
    EXPECT_EQ(code(part("name=\"model\"", std::string(129, 'm')) + kEnd), Errc::bad_field);
}

TEST(Multipart, ChecksTheContentType) {
    EXPECT_EQ(code(kEnd, "application/json"), Errc::unsupported_media_type);
    EXPECT_EQ(code(kEnd, ""), Errc::unsupported_media_type);
    for (const std::string& type :
         {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
          std::string("multipart/form-data; boundary=a; boundary=b"),
          std::string("multipart/form-data; boundary=\"a"),
          std::string("multipart/form-data; boundary=a\x01"),
          "multipart/form-data; boundary=" + std::string(71, 'b')}) {
        EXPECT_EQ(code(kEnd, type), Errc::bad_multipart) << type;
    }
    EXPECT_EQ(multipart_boundary("multipart/form-data; boundary=\"a b\""), "a b");
}

}  // namespace
}  // namespace millrace::openai
