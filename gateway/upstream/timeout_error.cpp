#include "gateway/upstream/timeout_error.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace millrace::gateway {
namespace {

std::string sentence(std::string_view what, Duration limit) {
    return std::string(what) + " within " +
           std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()) +
           " ms.";
}

}  // namespace

Error timeout_error(Errc code, const config::UpstreamTimeouts& limits, Duration total) {
    switch (code) {
        case Errc::upstream_connect_timeout:
            return {code, Origin::upstream,
                    sentence("The backend could not be connected", limits.connect)};
        case Errc::first_byte_timeout:
            return {code, Origin::upstream,
                    sentence("The backend did not begin to answer", limits.first_byte)};
        case Errc::first_token_timeout:
            return {code, Origin::upstream,
                    sentence("The backend sent no first token", limits.first_token)};
        case Errc::idle_timeout:
            return {code, Origin::upstream,
                    sentence("The backend fell silent: nothing was read", limits.idle)};
        default: break;
    }
    return {Errc::total_timeout, Origin::upstream, sentence("The request was not finished", total)};
}

}  // namespace millrace::gateway
