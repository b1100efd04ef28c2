#include "bench/vllm_sim/calibration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

std::optional<double> to_double(std::string_view text) {
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) {
        return std::nullopt;
    }
    return value;
}

/// y ~ sum of coefficients * x, every row weighted by 1 / y.
template <std::size_t N>
class LeastSquares {
public:
    void add(const std::array<double, N>& x, double y) { rows_.push_back({x, y}); }

    /// Coefficients >= 0: the most negative one is fixed at 0 and the rest is solved again.
    std::array<double, N> solve() const {
        std::array<bool, N> active{};
        active.fill(true);
        for (;;) {
            std::array<double, N> result = solve_active(active);
            std::size_t worst = N;
            for (std::size_t i = 0; i < N; ++i) {
                if (active[i] && result[i] < 0 && (worst == N || result[i] < result[worst])) {
                    worst = i;
                }
            }
            if (worst == N) {
                return result;
            }
            active[worst] = false;
        }
    }

    double mean_relative_error(const std::array<double, N>& coefficients) const {
        double sum = 0;
        for (const auto& [x, y] : rows_) {
            double predicted = 0;
            for (std::size_t i = 0; i < N; ++i) {
                predicted += coefficients[i] * x[i];
            }
            sum += std::abs(predicted - y) / y;
        }
        return rows_.empty() ? 0 : sum / static_cast<double>(rows_.size());
    }

private:
    using Matrix = std::array<std::array<double, N + 1>, N>;

    /// Gaussian elimination of the normal equations; a singular column (a size that never varies)
    /// gets 0.
    std::array<double, N> solve_active(const std::array<bool, N>& active) const {
        Matrix m = normal_equations(active);
        std::array<double, N> result{};
        std::array<bool, N> solved{};
        for (std::size_t column = 0; column < N; ++column) {
            if (!active[column]) {
                continue;
            }
            const double pivot = m[column][column];
            if (std::abs(pivot) < 1e-12) {
                continue;
            }
            solved[column] = true;
            for (std::size_t row = 0; row < N; ++row) {
                if (row == column) {
                    continue;
                }
                const double factor = m[row][column] / pivot;
                for (std::size_t k = 0; k <= N; ++k) {
                    m[row][k] -= factor * m[column][k];
                }
            }
        }
        for (std::size_t i = 0; i < N; ++i) {
            result[i] = solved[i] ? m[i][N] / m[i][i] : 0;
        }
        return result;
    }

    Matrix normal_equations(const std::array<bool, N>& active) const {
        Matrix m{};
        for (const auto& [x, y] : rows_) {
            for (std::size_t i = 0; i < N; ++i) {
                for (std::size_t k = 0; k < N && active[i]; ++k) {
                    m[i][k] += active[k] ? x[i] * x[k] / (y * y) : 0;
                }
                m[i][N] += active[i] ? x[i] / y : 0;
            }
        }
        return m;
    }

    std::vector<std::pair<std::array<double, N>, double>> rows_;
};

constexpr std::array<std::string_view, 6> kNumbers = {"prompt_size", "batch_size", "token_size",
                                                      "prompt_time", "token_time", "e2e_time"};

struct Measurement {
    double prompt = 0;
    double batch = 0;
    double tokens = 0;
    double prompt_ms = 0;
    double token_ms = 0;  ///< per output token
};

using Numbers = std::array<double, kNumbers.size()>;

/// True if e2e_time adds up with token_time as the whole decode (then times are seconds), not per
/// token.
bool token_time_is_total(const Numbers& n) {
    return std::abs(n[5] - (n[3] + n[4])) < std::abs(n[5] - (n[3] + n[4] * n[2]));
}

/// A single row can lie, because generation may have ended early; so the majority decides for all.
std::vector<Measurement> to_measurements(const std::vector<Numbers>& rows) {
    const auto totals = std::ranges::count_if(rows, token_time_is_total);
    const bool seconds = 2 * totals > static_cast<std::ptrdiff_t>(rows.size());
    std::vector<Measurement> result;
    for (const Numbers& n : rows) {
        Measurement m{n[0], n[1], n[2], n[3], n[4]};
        if (seconds) {
            m.prompt_ms *= 1000;
            m.token_ms = m.token_ms / m.tokens * 1000;
        }
        result.push_back(m);
    }
    return result;
}

class Table {
public:
    static Result<Table> parse(std::string_view csv) {
        Table table;
        table.lines_ = split(csv, '\n');
        const auto names = split(table.lines_.front(), ',');
        for (std::size_t i = 0; i < names.size(); ++i) {
            std::string_view name = names[i];
            if (name.ends_with('\r')) {
                name.remove_suffix(1);
            }
            table.columns_[std::string(name)] = i;
        }
        for (const std::string_view needed : {"model", "hardware", "tensor_parallel"}) {
            if (!table.columns_.contains(std::string(needed))) {
                return table.missing(needed);
            }
        }
        for (const std::string_view needed : kNumbers) {
            if (!table.columns_.contains(std::string(needed))) {
                return table.missing(needed);
            }
        }
        return table;
    }

    std::vector<Measurement> select(const ProfileName& name) const {
        std::vector<Numbers> rows;
        for (const std::string_view line : std::span(lines_).subspan(1)) {
            const auto cells = split(line, ',');
            if (cells.size() < columns_.size() || cell(cells, "model") != name.model ||
                cell(cells, "hardware") != name.hardware ||
                to_double(cell(cells, "tensor_parallel")) != double(name.tensor_parallel)) {
                continue;
            }
            Numbers numbers{};
            for (std::size_t i = 0; i < kNumbers.size(); ++i) {
                numbers[i] = to_double(cell(cells, kNumbers[i])).value_or(0);
            }
            if (std::ranges::all_of(numbers, [](double value) { return value > 0; })) {
                rows.push_back(numbers);
            }
        }
        return to_measurements(rows);
    }

private:
    std::unexpected<Error> missing(std::string_view column) const {
        return failure(Errc::bad_field, Origin::policy,
                       "The measurements have no column '" + std::string(column) + "'.");
    }
    std::string_view cell(const std::vector<std::string_view>& cells, std::string_view name) const {
        return cells[columns_.at(std::string(name))];
    }

    std::vector<std::string_view> lines_;
    std::map<std::string, std::size_t> columns_;
};

}  // namespace

Result<ProfileName> parse_profile_name(std::string_view text) {
    std::array<std::string_view, 4> parts;  // from the right, because a file name may contain ':'
    for (std::size_t i = 3; i > 0; --i) {
        const std::size_t at = text.rfind(':');
        if (at == std::string_view::npos) {
            return failure(Errc::bad_field, Origin::policy,
                           "A profile is FILE:model:hardware:tensor_parallel.");
        }
        parts[i] = text.substr(at + 1);
        text = text.substr(0, at);
    }
    parts[0] = text;
    const auto tensor_parallel = to_number<int>(parts[3]);
    if (!tensor_parallel || parts[0].empty()) {
        return failure(Errc::bad_field, Origin::policy,
                       "A profile is FILE:model:hardware:tensor_parallel, the last one a number.");
    }
    return ProfileName{std::string(parts[0]), std::string(parts[1]), std::string(parts[2]),
                       *tensor_parallel};
}

Result<Calibration> calibrate(std::string_view csv, const ProfileName& name) {
    const auto table = Table::parse(csv);
    if (!table) {
        return std::unexpected(table.error());
    }
    const auto rows = table->select(name);
    if (rows.size() < 3) {
        return failure(Errc::bad_field, Origin::policy,
                       "Fewer than 3 measurements of " + name.model + " on " + name.hardware +
                           " with tensor parallelism " + std::to_string(name.tensor_parallel) +
                           ".");
    }
    LeastSquares<2> prefill;
    LeastSquares<3> decode;
    for (const Measurement& m : rows) {
        if (m.batch == 1) {  // how a batch's prompts were timed differs between the sources
            prefill.add({1, m.prompt}, m.prompt_ms);
        }
        decode.add({1, m.batch, m.batch * (m.prompt + m.tokens / 2)}, m.token_ms);
    }
    const auto p = prefill.solve();
    const auto d = decode.solve();
    Calibration result;
    result.cost.base_ms = d[0];
    result.cost.per_sequence_ms = d[1];
    result.cost.per_context_token_ms = d[2];
    result.cost.per_prefill_token_ms = p[1];
    // An iteration always pays base_ms; the prefill adds what its own constant has on top.
    result.cost.prefill_base_ms = std::max(0.0, p[0] - d[0]);
    result.rows = static_cast<int>(rows.size());
    result.prefill_error = prefill.mean_relative_error(p);
    result.decode_error = decode.mean_relative_error(d);
    return result;
}

}  // namespace millrace::vllm_sim
