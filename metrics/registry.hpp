// Registry: names → dense ids, one Slot per counting thread, and their sums as Prometheus text or
// scaler values.
//
// Names are interned when a configuration is published, on the control thread; ids are never reused
// and survive reloads, so a counter never goes backwards. A name beyond a cap counts as `unknown`
// (tenants: `other`) and adds to millrace_series_dropped_total. Scraping takes milliseconds with
// many models: run it off the I/O threads. Thread-safety: every member from any thread, except that
// a Slot is written by its owner only. No member is called on the request path but slot().
// Callbacks of register_gauge run inside render() and must not call register_gauge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/demand.hpp"
#include "metrics/series.hpp"
#include "metrics/slot.hpp"

namespace prometheus {
class Collectable;
struct MetricFamily;
}  // namespace prometheus

namespace millrace::metrics {

struct RegistryOptions {
    std::string version = "unknown";  ///< for millrace_build_info
    std::size_t max_variants = 12'000;  ///< each of these ≤ kMaxIds - 2
    std::size_t max_backends = 1024;
    std::size_t workers = 0;  ///< slots with an event loop, the first ones; 0 = all of them
    std::size_t max_tenants = 500;
};

class Registry;

/// Keeps a registered gauge alive; its destructor removes the gauge and waits for a callback that
/// is running.
class GaugeHandle {
public:
    GaugeHandle() = default;
    GaugeHandle(GaugeHandle&& other) noexcept
        : registry_(std::exchange(other.registry_, nullptr)), key_(other.key_) {}
    GaugeHandle& operator=(GaugeHandle&& other) noexcept;
    GaugeHandle(const GaugeHandle&) = delete;
    GaugeHandle& operator=(const GaugeHandle&) = delete;
    ~GaugeHandle() { reset(); }
    void reset() noexcept;

private:
    friend class Registry;
    GaugeHandle(Registry* registry, std::uint64_t key) : registry_(registry), key_(key) {}

    Registry* registry_ = nullptr;
    std::uint64_t key_ = 0;
};

class Registry {
public:
    /// `slots` = workers first (their index is the `worker` label), then any other counting thread.
    explicit Registry(std::size_t slots, RegistryOptions options = {});
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;
    ~Registry();

    /// The id of a name, the same one every time. Interning a retired name shows its series again.
    VariantId intern_variant(std::string_view model, std::string_view variant,
                             std::string_view name_space);
    BackendId intern_backend(std::string_view name);
    TenantId intern_tenant(std::string_view name);

    /// Hides the series once nothing of the variant is queued or in flight. Its counts are kept for
    /// its return.
    void retire(VariantId id);
    void retire(BackendId id);

    std::size_t slot_count() const { return slots_.size(); }
    Slot& slot(std::size_t index) { return *slots_[index]; }

    /// A value that another component owns, read at every scrape. `label_values` in the order of
    /// the series' label names. The series' type decides whether it is shown as gauge or counter.
    [[nodiscard]] GaugeHandle register_gauge(Series series, std::vector<std::string> label_values,
                                             std::function<double()> read);

    /// Demand of a model over all its variants, retired ones included; `active` is latched per
    /// cursor.
    ModelDemand demand(std::string_view model, DemandCursor& cursor) const;
    /// The same with one latch per model that all callers of this overload share.
    ModelDemand demand(std::string_view model);

    /// Prometheus text format 0.0.4, on the calling thread.
    std::string render() const;
    /// The same series for a prometheus-cpp Exposer or serializer. The registry must outlive the
    /// result.
    std::shared_ptr<prometheus::Collectable> collectable() const;
    std::vector<prometheus::MetricFamily> collect() const;

private:
    friend class GaugeHandle;
    friend class Collector;

    struct VariantName {
        std::string model;
        std::string variant;
        std::string name_space;
        bool retired = false;
    };
    struct Name {
        std::string name;
        bool retired = false;
    };
    struct Names {
        std::vector<Name> list;
        std::map<std::string, std::uint32_t, std::less<>> index;
    };
    struct Model {
        std::vector<std::uint32_t> variants;
        DemandCursor latch;
    };
    struct Callback {
        std::uint64_t key;
        Series series;
        std::vector<std::string> label_values;
        std::function<double()> read;
    };

    /// Returns the id, `overflow` when the cap is reached.
    std::uint32_t intern(Names& names, std::string_view name, std::size_t cap,
                         std::uint32_t overflow);
    void grow();
    void unregister(std::uint64_t key) noexcept;
    ModelDemand demand_locked(std::string_view model, DemandCursor& cursor) const;

    RegistryOptions options_;
    std::vector<std::unique_ptr<Slot>> slots_;

    mutable std::mutex names_mutex_;
    std::vector<VariantName> variants_;
    std::map<std::pair<std::string, std::string>, std::uint32_t> variant_index_;
    std::map<std::string, Model, std::less<>> models_;
    Names backends_;
    Names tenants_;
    std::uint64_t dropped_ = 0;

    /// Apart from names_mutex_, so that a callback may intern or ask for demand. Never held while
    /// taking the other.
    mutable std::mutex callbacks_mutex_;
    std::vector<Callback> callbacks_;
    std::uint64_t next_key_ = 1;
};

}  // namespace millrace::metrics
