// `millrace explain`: which route, variant and endpoint a request gets, and why, in routing's own
// words.
//
// explain() is also what POST /explain of the admin listener runs against the live state; the
// command runs it against a configuration file, with every configured endpoint taken as ready and
// DNS names as one endpoint each. Thread-safety: explain() uses the caller's EndpointView and
// Random; the rest has no state.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/base/error.hpp"
#include "config/base/random.hpp"
#include "routing/catalog.hpp"
#include "routing/endpoints.hpp"
#include "routing/prompt_blocks.hpp"

namespace millrace::gateway {

/// A request as its writer sees it.
struct SampleRequest {
    std::string method = "POST";
    std::string target = "/v1/chat/completions";  ///< path and query
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string key_id;  ///< as if authenticated with that key
    std::string tenant;  ///< as if the caller were that tenant
};

struct Explanation {
    std::vector<std::string> lines;  ///< sentences, in the order of the decisions
    std::optional<Error> refusal;    ///< set = the request is refused with this
    std::string backend;
    std::string variant;
    std::string endpoint;  ///< URL
    std::string
        served_name;  ///< the `model` that the backend is sent; empty = the body is left alone
};

/// `blocks` hashes prompts as the data path does, so that live prefix memories match.
Explanation explain(const SampleRequest& request, const routing::Catalog& catalog,
                    routing::EndpointView& endpoints, routing::PromptBlocks& blocks,
                    Random& random);

/// `{"method": …, "target": …, "headers": {…}, "body": "…", "key_id": …, "tenant": …}`;
/// everything is optional.
/// A body that is an object is taken as JSON. Error: bad_json or bad_field, naming the key.
Result<SampleRequest> parse_sample_request(const std::string& json);

/// One JSON object with the fields above and the refusal's status, code and message.
std::string to_json(const Explanation& explanation);

struct ExplainOptions {
    std::string config_file;
    std::string method;  ///< empty = GET where nothing else is answered, else POST
    std::string path = "/v1/chat/completions";
    std::vector<std::string> headers;  ///< `name: value`
    std::string body_file;             ///< empty = no body
    std::string key_id;
    std::string tenant;
    bool json = false;
};

/// A refusal is an explanation too: kExitClean. kExitConfiguration: the configuration or an option
/// is wrong.
int run_explain(const ExplainOptions& options, std::ostream& out, std::ostream& err);

}  // namespace millrace::gateway
