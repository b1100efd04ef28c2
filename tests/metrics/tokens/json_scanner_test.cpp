#include "metrics/tokens/json_scanner.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::metrics {
namespace {

/// Writes down what the scanner reports, as "level key=value".
class Recorder final : public JsonHandler {
public:
    explicit Recorder(std::string_view text) : text_(text) {}

    Key on_key(std::size_t begin, std::size_t end, unsigned level) override {
        key = std::to_string(level) + " " + std::string(text_.substr(begin, end - begin));
        if (key.ends_with("skip")) {
            return Key::skip;
        }
        if (key.ends_with("stop")) {
            return Key::stop;
        }
        return key.ends_with("down") ? Key::descend : Key::report;
    }
    bool on_value(JsonKind kind, std::size_t begin, std::size_t end, unsigned level) override {
        static_cast<void>(level);
        constexpr std::string_view kKinds = "oasx";
        members.push_back(key + "=" + std::string(text_.substr(begin, end - begin)) + " " +
                          kKinds[static_cast<std::size_t>(kind)]);
        return true;
    }
    void on_watched(std::size_t quote) override { watched.push_back(quote); }

    std::string key;
    std::vector<std::string> members;
    std::vector<std::size_t> watched;

private:
    std::string_view text_;
};

struct Outcome {
    bool ok = false;
    Errc code = Errc::internal;
    std::vector<std::string> members;
};

Outcome scan(std::string_view text, std::size_t piece, unsigned depth = JsonScanner::kMaxDepth) {
    Recorder recorder(text);
    JsonScanner scanner(depth);
    Result<void> result;
    for (std::size_t at = 0; at < text.size() && result; at += piece) {
        result = scanner.feed(text.substr(at, piece), recorder);
    }
    if (result) {
        result = scanner.finish();
    }
    return {result.has_value(), result ? Errc::internal : result.error().code, recorder.members};
}

class JsonScannerKernels : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { JsonScanner::use_portable_kernel(GetParam()); }
    void TearDown() override { JsonScanner::use_portable_kernel(false); }
};
INSTANTIATE_TEST_SUITE_P(Kernels, JsonScannerKernels, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Fastest"; });

TEST_P(JsonScannerKernels, ReportsMembersAtEveryCut) {
    const std::string filler(200, 'x');
    const std::string text =
        " {\"a\" : 1 ,\"b\":\"q\\\"\\\\\", "
        "\"skip\":[{\"a\":2}],\n\"c\":[1,{\"d\":[]}],\"long\":\"" +
        filler + "\\\\\\\"" + filler + "\",\"e\":{\"f\":\"}\"},\"g\":true,\"h\":null}\r\n\t ";
    const std::vector<std::string> expected{"1 a=1 x",
                                            "1 b=\"q\\\"\\\\\" s",
                                            "1 c=[1,{\"d\":[]}] a",
                                            "1 long=\"" + filler + "\\\\\\\"" + filler + "\" s",
                                            "1 e={\"f\":\"}\"} o",
                                            "1 g=true x",
                                            "1 h=null x"};
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        const Outcome outcome = scan(text, piece);
        ASSERT_TRUE(outcome.ok) << piece;
        ASSERT_EQ(outcome.members, expected) << piece;
    }
}

TEST_P(JsonScannerKernels, DescendsWhereItIsAsked) {
    const Outcome outcome =
        scan(R"({"down":{"a":1,"down":{"b":[2]},"c":3},"d":4,"down":[5],"down":"x"})", 7);
    EXPECT_TRUE(outcome.ok);
    EXPECT_EQ(outcome.members,
              (std::vector<std::string>{"2 a=1 x", "3 b=[2] a", "2 c=3 x", "1 d=4 x",
                                        "1 down=[5] a", "1 down=\"x\" s"}));
}

TEST_P(JsonScannerKernels, RefusesWhatIsNoBalancedObject) {
    for (const char* text : {"",
                             " ",
                             "[]",
                             "\"a\"",
                             "1",
                             "{",
                             "}",
                             "{]",
                             "{\"a\":[}",
                             "{\"a\":{]}",
                             "{\"a\":[1}}",
                             "{\"a\":1}}",
                             "{\"a\":1} x",
                             "{\"a\":1}{}",
                             "{\"a\":1,}",
                             "{,}",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{\"a\" 1}",
                             "{\"a\":1 2}",
                             "{\"a\":1 \"b\":2}",
                             "{\"a\":\"x\" \"b\":2}",
                             "{\"a\"::1}",
                             "{a:1}",
                             "{\"a\":1,,\"b\":2}",
                             "{\"a\":\"unterminated}",
                             "{\"a\":[1,2}",
                             "{\"a\":\"\\\"}",
                             "{\"a\":1\"b\"}",
                             "\xEF\xBB\xBF{}",
                             "{\"a\":[]]}",
                             "{\"a\":[[}]}",
                             "{\\\"a\":1}",
                             "{1:2}"}) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
            const Outcome outcome = scan(text, piece);
            EXPECT_FALSE(outcome.ok) << text;
            EXPECT_EQ(outcome.code, Errc::bad_json) << text;
        }
    }
    EXPECT_TRUE(scan("{}", 1).ok);
    EXPECT_TRUE(scan(" { } ", 2).ok);
}

TEST_P(JsonScannerKernels, LimitsDepth) {
    const auto nested = [](std::size_t arrays) {
        return "{\"skip\":" + std::string(arrays, '[') + std::string(arrays, ']') + "}";
    };
    EXPECT_TRUE(scan(nested(63), 10).ok);
    EXPECT_EQ(scan(nested(64), 10).code, Errc::json_too_deep);
    EXPECT_TRUE(scan(nested(3), 10, 4).ok);
    EXPECT_EQ(scan(nested(4), 10, 4).code, Errc::json_too_deep);
    EXPECT_EQ(scan("{\"a\":[]}", 10, 1).code, Errc::json_too_deep);
    EXPECT_EQ(scan(nested(200'000), 1 << 20).code, Errc::json_too_deep);
}

TEST_P(JsonScannerKernels, KeepsEscapesApartAcrossBlocks) {
    // A run of backslashes of every length before a quote, at every offset around two block
    // borders.
    for (std::size_t pad = 40; pad < 140; ++pad) {
        for (std::size_t run = 0; run < 70; ++run) {
            const std::string text = "{\"a\":\"" + std::string(pad, 'y') + std::string(run, '\\') +
                                     "\"" + (run % 2 == 1 ? "\"" : "") + ",\"b\":[]}";
            const Outcome outcome = scan(text, 64);
            ASSERT_TRUE(outcome.ok) << pad << " " << run;
            ASSERT_EQ(outcome.members.size(), 2U) << pad << " " << run;
            ASSERT_EQ(scan(text, 13).members, outcome.members) << pad << " " << run;
        }
    }
}

TEST_P(JsonScannerKernels, WatchesStringsByTheirFirstByte) {
    const std::string text =
        "{\"a\":[{\"image_url\":\"inside\"},\"x\",\"" + std::string(60, 'z') + "\",\"i\"]}";
    Recorder recorder(text);
    JsonScanner scanner(JsonScanner::kMaxDepth, 'i');
    ASSERT_TRUE(scanner.feed(text, recorder));
    std::vector<std::size_t> found;
    for (const std::size_t quote : recorder.watched) {
        if (text[quote + 1] == 'i') {  // a quote at a block's end is reported unseen
            found.push_back(quote);
        }
    }
    EXPECT_EQ(found, (std::vector<std::size_t>{7, 19, text.size() - 5}));
}

TEST(JsonScanner, NamesTheUnfinishedToken) {
    const std::string text = R"({"abc":"value","skip":"x"})";
    Recorder recorder(text);
    JsonScanner scanner;
    const auto open_after = [&](std::size_t upto) {
        EXPECT_TRUE(scanner.feed(
            std::string_view(text).substr(scanner.consumed(), upto - scanner.consumed()),
            recorder));
        return scanner.open_token();
    };
    EXPECT_EQ(open_after(1), JsonScanner::kNone);
    EXPECT_EQ(open_after(4), 2U);
    EXPECT_EQ(open_after(6), JsonScanner::kNone);
    EXPECT_EQ(open_after(10), 7U);
    EXPECT_EQ(open_after(14), JsonScanner::kNone);
    EXPECT_EQ(open_after(24), JsonScanner::kNone) << "a skipped value need not be kept";
    EXPECT_EQ(open_after(text.size()), JsonScanner::kNone);
    EXPECT_TRUE(scanner.complete());
    EXPECT_EQ(scanner.object_start(), 1U);
}

TEST(JsonScanner, StopsWhenTheHandlerSaysSo) {
    EXPECT_FALSE(scan(R"({"a":1,"stop":2})", 100).ok);
}

TEST(JsonScanner, SaysWhatIsWrong) {
    const std::string_view text = R"({"a":[[]]})";
    Recorder recorder(text);
    JsonScanner scanner(2);
    const auto result = scanner.feed(text, recorder);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().detail, "The JSON nests deeper than the limit of 2 levels at byte 6.");
    EXPECT_FALSE(scanner.feed("}", recorder)) << "a failure is final";
}

}  // namespace
}  // namespace millrace::metrics
