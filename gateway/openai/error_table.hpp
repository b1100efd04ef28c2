// THE table: how every failure looks to a client, to its SDK and to the metrics. No other file
// chooses a status. Thread-safety: immutable.
#pragma once

#include <string_view>

#include "config/base/error.hpp"

namespace millrace::openai {

struct ErrorRow {
    unsigned status = 0;              ///< HTTP status; 499 rows are never written, only logged
    std::string_view type;            ///< OpenAI `error.type`
    std::string_view code;            ///< OpenAI `error.code`
    std::string_view param;           ///< OpenAI `error.param`; empty = null
    std::string_view anthropic_type;  ///< Anthropic `error.type`
    bool is_retryable = false;        ///< `x-should-retry`
    bool closes = false;              ///< the connection cannot be used after it
    std::string_view reason;          ///< `x-millrace-reason`; set for 503 only
    std::string_view outcome;         ///< low-cardinality metric label
};

const ErrorRow& error_row(Errc code);

}  // namespace millrace::openai
