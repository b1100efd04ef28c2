#include "gateway/commands/schema.hpp"

#include <ostream>

#include "config/schema.hpp"
#include "gateway/commands/exit_code.hpp"
#include "metrics/series.hpp"

namespace millrace::gateway {

int run_schema(SchemaFormat format, std::ostream& out) {
    switch (format) {
        case SchemaFormat::json: out << config::json_schema(); break;
        case SchemaFormat::markdown: out << config::markdown(); break;
        case SchemaFormat::metrics: out << metrics::metrics_markdown(); break;
    }
    return kExitClean;
}

}  // namespace millrace::gateway
