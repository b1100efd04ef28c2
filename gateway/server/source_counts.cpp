#include "gateway/server/source_counts.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

namespace millrace::gateway {

std::string source_of(std::string_view address) {
    const std::string text(address);
    in6_addr parsed{};
    if (::inet_pton(AF_INET6, text.c_str(), &parsed) != 1) {
        return text;
    }
    std::fill(std::begin(parsed.s6_addr) + 8, std::end(parsed.s6_addr), std::uint8_t{0});
    std::array<char, INET6_ADDRSTRLEN> network{};
    ::inet_ntop(AF_INET6, &parsed, network.data(), network.size());
    return std::string(network.data()) + "/64";
}

bool SourceCounts::try_add(const std::string& source, std::uint32_t limit) {
    const std::lock_guard lock(mutex_);
    auto& count = counts_[source];
    if (count >= limit) {
        return false;
    }
    ++count;
    return true;
}

void SourceCounts::remove(const std::string& source) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(source);
    if (found != counts_.end() && --found->second == 0) {
        counts_.erase(found);
    }
}

}  // namespace millrace::gateway
