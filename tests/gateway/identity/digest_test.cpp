#include "gateway/identity/digest.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace::gateway {
namespace {

// RFC 4231, test cases 2 and 6 (a key longer than a block).
struct Vector {
    std::string key;
    std::string data;
    std::string_view digest;
};
const std::vector<Vector> kVectors{
    {"Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
};

TEST(Digest, IsHmacSha256) {
    for (const auto& vector : kVectors) {
        const TokenDigester digester{Secret(vector.key)};
        EXPECT_EQ(to_hex(digester.digest(vector.data)), vector.digest);
        // The reused context starts afresh each time.
        EXPECT_EQ(to_hex(digester.digest(vector.data)), vector.digest);
    }
}

TEST(Digest, StaysRightWhenOneThreadAlternatesBetweenDigesters) {
    const TokenDigester first{Secret(kVectors[0].key)};
    const TokenDigester second{Secret(kVectors[1].key)};
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(to_hex(first.digest(kVectors[0].data)), kVectors[0].digest);
        EXPECT_EQ(to_hex(second.digest(kVectors[1].data)), kVectors[1].digest);
    }
}

TEST(Digest, IsTheSameInEveryThread) {
    const TokenDigester digester{Secret(kVectors[0].key)};
    std::vector<std::thread> threads;
    std::array<std::string, 4> results;
    for (auto& result : results) {
        threads.emplace_back([&digester, &result] {
            for (int i = 0; i < 1000; ++i) {
                result = to_hex(digester.digest(kVectors[0].data));
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (const auto& result : results) {
        EXPECT_EQ(result, kVectors[0].digest);
    }
}

TEST(Digest, AcceptsAnEmptyPepper) {
    const TokenDigester digester{Secret("")};
    EXPECT_EQ(to_hex(digester.digest("")),
              "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(Digest, ReadsHexOfBothCasesAndNothingElse) {
    const std::string hex(kVectors[0].digest);
    const auto digest = digest_from_hex(hex);
    ASSERT_TRUE(digest);
    EXPECT_EQ(to_hex(*digest), hex);
    auto upper = hex;
    for (auto& c : upper) {
        c = static_cast<char>(std::toupper(c));
    }
    EXPECT_EQ(digest_from_hex(upper), digest);
    EXPECT_FALSE(digest_from_hex(hex.substr(1)));
    EXPECT_FALSE(digest_from_hex(hex + "0"));
    EXPECT_FALSE(digest_from_hex("x" + hex.substr(1)));
    EXPECT_FALSE(digest_from_hex(""));
}

TEST(Digest, ComparesWholeTexts) {
    EXPECT_TRUE(equal_in_constant_time("", ""));
    EXPECT_TRUE(equal_in_constant_time("secret", "secret"));
    EXPECT_FALSE(equal_in_constant_time("secret", "secreT"));
    EXPECT_FALSE(equal_in_constant_time("Secret", "secret"));
    EXPECT_FALSE(equal_in_constant_time("secret", "secret1"));
    EXPECT_FALSE(equal_in_constant_time("secret", ""));
}

}  // namespace
}  // namespace millrace::gateway
