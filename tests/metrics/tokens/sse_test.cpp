#include "metrics/tokens/sse.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::metrics {
namespace {

/// The events of `text` when it arrives in pieces of `piece` bytes; the unfinished rest last,
/// marked with `~`.
std::vector<std::string> events_of(std::string_view text, std::size_t piece) {
    std::vector<std::string> events;
    SseScanner scanner;
    std::string open;
    for (std::size_t from = 0; from < text.size(); from += piece) {
        std::string_view bytes = text.substr(from, piece);
        if (scanner.take_line_feed(bytes)) {
            events.back() += '\n';
            bytes.remove_prefix(1);
        }
        while (!bytes.empty()) {
            const std::size_t end = scanner.find_end(bytes);
            open += bytes.substr(0, end);
            if (end == SseScanner::kNone) {
                break;
            }
            bytes.remove_prefix(end);
            events.push_back(open);
            open.clear();
            if (scanner.take_line_feed(bytes)) {
                events.back() += '\n';
                bytes.remove_prefix(1);
            }
        }
    }
    if (!open.empty()) {
        events.push_back("~" + open);
    }
    return events;
}

TEST(SseScanner, FindsEventEndsInEveryLineEnding) {
    struct Case {
        std::string text;
        std::vector<std::string> events;
    };
    const std::vector<Case> cases{
        {"data: a\n\ndata: b\n\n", {"data: a\n\n", "data: b\n\n"}},
        {"data: a\r\n\r\ndata: b\r\n\r\n", {"data: a\r\n\r\n", "data: b\r\n\r\n"}},
        {"data: a\r\rdata: b\r\r", {"data: a\r\r", "data: b\r\r"}},
        {"data: a\r\n\ndata: b\n\r\n", {"data: a\r\n\n", "data: b\n\r\n"}},
        {"data: a\n\rdata: b\r\r\n", {"data: a\n\r", "data: b\r\r\n"}},
        {": ping\n\n\ndata:x\nid: 1\n\ndata: cut\n",
         {": ping\n\n", "\n", "data:x\nid: 1\n\n", "~data: cut\n"}},
        {"\xEF\xBB\xBF"
         "data: a\n\n",
         {"\xEF\xBB\xBF"
          "data: a\n\n"}},
        {"\r\n\r\n", {"\r\n", "\r\n"}},
        {"data: a", {"~data: a"}},
    };
    for (const Case& c : cases) {
        for (std::size_t piece = 1; piece <= c.text.size(); ++piece) {
            EXPECT_EQ(events_of(c.text, piece), c.events) << c.text << " by " << piece;
        }
    }
}

TEST(SseScanner, CountsLines) {
    SseScanner scanner;
    const std::string_view text = "event: x\ndata: y\n\n\ndata: z\n\n";
    std::size_t at = scanner.find_end(text);
    EXPECT_EQ(scanner.lines(), 2U);
    at += scanner.find_end(text.substr(at));
    EXPECT_EQ(scanner.lines(), 0U);
    scanner.find_end(text.substr(at));
    EXPECT_EQ(scanner.lines(), 1U);
}

TEST(SseFields, ReadsNamesAndData) {
    const std::string_view event = "event: error\r\nid: 5\ndata:{\"a\":1}\r\n\r\n";
    const SseFields fields = read_sse_fields(event, true);
    EXPECT_EQ(fields.event, "error");
    EXPECT_EQ(event.substr(fields.data.offset, fields.data.length), "{\"a\":1}");
    EXPECT_EQ(fields.data_lines, 1U);

    EXPECT_EQ(read_sse_fields(": comment\nretry: 5\ndatax: 1\n data: 2\n\n", false).data_lines, 0U);
    EXPECT_EQ(read_sse_fields("data\n\n", false).data_lines, 1U);
    EXPECT_EQ(read_sse_fields("data:  two\n\n", false).data, (Span{6, 4}))
        << "one space is stripped";
    EXPECT_EQ(read_sse_fields("\xEF\xBB\xBF"
                              "data: a\n\n",
                              true)
                  .data,
              (Span{9, 1}));
    EXPECT_EQ(read_sse_fields("\xEF\xBB\xBF"
                              "data: a\n\n",
                              false)
                  .data_lines,
              0U);
}

TEST(SseFields, ReadsASingleLineTheSameWay) {
    for (const std::string_view event :
         {"data: abc\n\n", "data:abc\r\n\r\n", "data: abc\r\r", ": x\n\n", "data\n\n"}) {
        const SseFields one = read_single_line(event, false);
        const SseFields any = read_sse_fields(event, false);
        EXPECT_EQ(one.data, any.data) << event;
        EXPECT_EQ(one.data_lines, any.data_lines) << event;
    }
}

TEST(SseFields, CollectsSeveralDataLines) {
    const std::string_view event = "data: a\nevent: e\ndata:bc\r\ndata\n\n";
    EXPECT_EQ(data_lines_of(event, false), (std::vector<Span>{{6, 1}, {22, 2}, {30, 0}}));
    EXPECT_EQ(read_sse_fields(event, false).data_lines, 3U);
}

}  // namespace
}  // namespace millrace::metrics
