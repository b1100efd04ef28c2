// Closes a file descriptor on every way out. Thread-safety: none; one owner.
#pragma once

#include <unistd.h>

namespace millrace::gateway {

struct Descriptor {
    int value;  ///< negative = none
    explicit Descriptor(int fd) : value(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (value >= 0) {
            ::close(value);
        }
    }
};

}  // namespace millrace::gateway
