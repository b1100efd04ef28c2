// `millrace schema [--markdown | --metrics]`: the generated descriptions of configuration and
// metrics. Thread-safety: free function without state.
#pragma once

#include <cstdint>
#include <iosfwd>

namespace millrace::gateway {

enum class SchemaFormat : std::uint8_t {
    json,      ///< JSON Schema of the configuration
    markdown,  ///< docs/CONFIGURATION.md
    metrics,   ///< docs/METRICS.md
};

int run_schema(SchemaFormat format, std::ostream& out);

}  // namespace millrace::gateway
