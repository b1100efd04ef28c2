// SourceCounts: connections per source, for sources that are limited.
//
// A source is an IPv4 address or an IPv6 /64: a /64 is what one subscriber gets, and an address of
// its own for every connection costs it nothing. Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace millrace::gateway {

/// The source that an IP literal belongs to, as text.
std::string source_of(std::string_view address);

class SourceCounts {
public:
    /// Counts one more unless `limit` are there already.
    bool try_add(const std::string& source, std::uint32_t limit);
    void remove(const std::string& source);

private:
    std::mutex mutex_;
    std::map<std::string, std::uint32_t> counts_;
};

}  // namespace millrace::gateway
