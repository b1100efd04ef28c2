// Secret: a string that cannot be printed by accident and is wiped when it goes away.
// No operator<<, no fmt formatter, no implicit conversion; `reveal()` is the word to grep for. Not
// thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace millrace {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    Secret(const Secret&) = default;
    Secret& operator=(const Secret&) = default;
    Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.wipe(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            wipe();
            value_ = std::move(other.value_);
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    std::string_view reveal() const { return value_; }
    bool empty() const { return value_.empty(); }
    bool operator==(const Secret&) const = default;

private:
    void wipe() noexcept;
    std::string value_;
};

}  // namespace millrace
