#include "bench/load/options.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace millrace::load {
namespace {

CommandLine parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "millrace-load");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST(LoadOptions, ChooseTheModeByWhatIsAsked) {
    const auto mode = [](std::vector<const char*> more) {
        more.insert(more.begin(), {"--target", "127.0.0.1:80"});
        return parse(more).options.mode;
    };
    EXPECT_EQ(mode({}), Mode::closed);
    EXPECT_EQ(mode({"--rate", "2000"}), Mode::open);
    EXPECT_EQ(mode({"--streams", "5"}), Mode::streams);
    EXPECT_EQ(mode({"--idle", "5"}), Mode::idle);
    EXPECT_EQ(mode({"--abort-after", "5", "--requests", "9"}), Mode::abort);
}

TEST(LoadOptions, SplitTheTarget) {
    const auto line = parse({"--target", "127.0.0.9:8123", "--watch", "11,12"});
    ASSERT_FALSE(line.exit_code) << line.output;
    EXPECT_EQ(line.options.host, "127.0.0.9");
    EXPECT_EQ(line.options.port, 8123);
    EXPECT_EQ(line.options.watch, (std::vector<int>{11, 12}));
}

TEST(LoadOptions, RefuseWhatContradictsItself) {
    for (const auto& more : std::vector<std::vector<const char*>>{
             {"--rate", "1", "--streams", "1"},
             {"--abort-after", "5"},
             {"--sticky-keys", "5"},
             {"--connections", "0"},
         }) {
        auto arguments = more;
        arguments.insert(arguments.begin(), {"--target", "127.0.0.1:80"});
        const auto line = parse(arguments);
        EXPECT_EQ(line.exit_code, 2);
        EXPECT_FALSE(line.output.empty());
    }
    EXPECT_EQ(parse({}).exit_code, 2);
    EXPECT_EQ(parse({"--target", "nowhere"}).exit_code, 2);
    EXPECT_EQ(parse({"--target", "127.0.0.1:x"}).exit_code, 2);
}

}  // namespace
}  // namespace millrace::load
