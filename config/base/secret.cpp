#include "config/base/secret.hpp"

namespace millrace {

void Secret::wipe() noexcept {
    // volatile keeps the stores: the string is about to be freed, so a plain fill would be removed
    // as dead.
    volatile char* bytes = value_.data();
    for (std::size_t i = 0; i < value_.size(); ++i) {
        bytes[i] = 0;
    }
    value_.clear();
}

}  // namespace millrace
