// What choosing a model by rules needs to know of a request, beyond what every request is asked.
//
// Sizes, tools and images come from the peek; the body is read a second time only for the keys that
// the rules name, so that requests for other models pay nothing. Thread-safety: none; one per
// request. The facts view this object and the body.
#pragma once

#include <forward_list>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/openai/peek.hpp"
#include "routing/rules.hpp"

namespace millrace::openai {

class RuleInputs {
public:
    RuleInputs() = default;
    RuleInputs(const RuleInputs&) = delete;
    RuleInputs& operator=(const RuleInputs&) = delete;

    /// A JSON body that the peek accepted.
    void read_json(const RequestFields& fields, std::string_view body,
                   const routing::RuleSet& rules);
    /// Another body, of which only the size is known.
    void read_other(std::string_view body) { facts_.prompt_bytes = body.size(); }

    /// `tier` is the tenant's.
    const routing::RuleFacts& facts(float tokens_per_byte, std::string_view tier);

private:
    void read_fields(std::string_view body, const std::vector<std::string>& names);
    void take(std::string_view name, std::string_view value);

    routing::RuleFacts facts_;
    std::vector<routing::BodyField> fields_;
    std::forward_list<std::string> texts_;  // of strings in fields_, which view them
};

}  // namespace millrace::openai
