// Engine costs from measurements: reads a CSV of vLLM measurements (shared traces, folder
// vllm_perf_models), keeps the rows of one model, hardware and tensor-parallel degree, and fits the
// linear cost model by least squares on relative errors, without negative coefficients.
//   prompt_time            = a + b * prompt_size                                              (rows
//   with batch_size 1) time per output token  = c + d * batch_size + e * batch_size * (prompt_size
//   + token_size / 2)
// Two dialects of the same columns exist: times in ms with token_time per token, and times in
// seconds with token_time for the whole decode; how e2e_time adds up in most rows says which. Pure;
// thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "bench/vllm_sim/model.hpp"
#include "config/base/error.hpp"

namespace millrace::vllm_sim {

struct ProfileName {
    std::string file;  ///< .csv, or .csv.xz (read through `xz -dc`)
    std::string model;
    std::string hardware;
    int tensor_parallel = 1;
};

struct Calibration {
    Cost cost;
    int rows = 0;
    double prefill_error = 0;  ///< mean absolute relative error of prompt_time
    double decode_error = 0;   ///< the same of the time per output token
};

/// "FILE:model:hardware:tp".
Result<ProfileName> parse_profile_name(std::string_view text);

/// Fits the rows of `csv` that `name` selects.
Result<Calibration> calibrate(std::string_view csv, const ProfileName& name);

}  // namespace millrace::vllm_sim
