#include "gateway/http1/known_field.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace millrace::http1 {
namespace {

std::vector<KnownField> all_known() {
    std::vector<KnownField> all;
    for (std::size_t i = 1; i < kKnownFieldCount; ++i) {
        all.push_back(static_cast<KnownField>(i));
    }
    return all;
}

TEST(KnownField, FindsEveryNameInAnyCase) {
    for (const auto field : all_known()) {
        std::string name(to_string(field));
        EXPECT_EQ(known_field(name), field) << name;
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        EXPECT_EQ(known_field(name), field) << name;
    }
}

TEST(KnownField, FindsNothingForNearMisses) {
    for (const auto field : all_known()) {
        const std::string name(to_string(field));
        for (std::size_t i = 0; i < name.size(); ++i) {
            auto changed = name;
            changed[i] = changed[i] == '_' ? '!' : '_';
            EXPECT_EQ(known_field(changed), KnownField::none) << changed;
        }
        EXPECT_EQ(known_field(name + "s"), KnownField::none);
        EXPECT_EQ(known_field(name.substr(1)), KnownField::none) << name;
    }
    EXPECT_EQ(known_field(""), KnownField::none);
    EXPECT_EQ(known_field(std::string(1000, 'x')), KnownField::none);
}

TEST(KnownField, FindsTheSameWithWideLoads) {
    for (const auto field : all_known()) {
        const std::string name(to_string(field));
        for (const std::string_view rest :
             {"", ": v\r\n\r\n", ": a value of some length\r\n\r\n"}) {
            for (std::size_t i = 0; i <= name.size(); ++i) {
                std::string line = name + std::string(rest);
                if (i < name.size()) {
                    line[i] = i % 2 == 0 ? 'Q' : 'z';
                }
                const auto received = std::string_view(line).substr(0, name.size());
                EXPECT_EQ(known_field(received, line.data() + line.size()), known_field(received))
                    << line;
            }
        }
    }
}

TEST(KnownField, NamesTheSingletonsThatTwoReadersCouldReadDifferently) {
    for (const auto field :
         {KnownField::host, KnownField::content_length, KnownField::transfer_encoding,
          KnownField::authorization, KnownField::x_api_key, KnownField::content_type,
          KnownField::x_model_id, KnownField::x_request_id, KnownField::expect,
          KnownField::content_encoding, KnownField::traceparent}) {
        EXPECT_TRUE(is_singleton(field)) << to_string(field);
    }
    for (const auto field : {KnownField::none, KnownField::accept, KnownField::connection,
                             KnownField::x_forwarded_for, KnownField::cookie}) {
        EXPECT_FALSE(is_singleton(field)) << to_string(field);
    }
}

TEST(KnownField, NamesTheHopByHopFields) {
    std::vector<std::string> names;
    for (const auto field : all_known()) {
        if (is_hop_by_hop(field)) {
            names.emplace_back(to_string(field));
            EXPECT_FALSE(is_protected(field)) << to_string(field);
        }
    }
    EXPECT_EQ(names, (std::vector<std::string>{"connection", "keep-alive", "proxy-connection",
                                               "proxy-authenticate", "proxy-authorization", "te",
                                               "trailer", "upgrade", "http2-settings"}));
}

}  // namespace
}  // namespace millrace::http1
