#include "metrics/registry.hpp"

#include <algorithm>

#include "config/base/assert.hpp"

namespace millrace::metrics {

namespace {

constexpr std::uint32_t kUnknown = 0;
constexpr std::uint32_t kOtherTenant = 1;

}  // namespace

GaugeHandle& GaugeHandle::operator=(GaugeHandle&& other) noexcept {
    if (this != &other) {
        reset();
        registry_ = std::exchange(other.registry_, nullptr);
        key_ = other.key_;
    }
    return *this;
}

void GaugeHandle::reset() noexcept {
    if (registry_ != nullptr) {
        registry_->unregister(key_);
        registry_ = nullptr;
    }
}

Registry::Registry(std::size_t slots, RegistryOptions options) : options_(std::move(options)) {
    for (std::size_t* cap :
         {&options_.max_variants, &options_.max_backends, &options_.max_tenants}) {
        *cap = std::min(*cap, kMaxIds - 2);
    }
    options_.workers = options_.workers == 0 ? slots : std::min(options_.workers, slots);
    slots_.reserve(slots);
    for (std::size_t i = 0; i < slots; ++i) {
        slots_.push_back(std::make_unique<Slot>());
    }
    // Id 0 of every kind: what an invalid id and a name beyond the cap count as.
    variants_.push_back({"unknown", "unknown", "unknown", false});
    variant_index_.emplace(std::pair{"unknown", "unknown"}, kUnknown);
    models_["unknown"].variants.push_back(kUnknown);
    for (Names* names : {&backends_, &tenants_}) {
        names->list.push_back({"unknown", false});
        names->index.emplace("unknown", kUnknown);
    }
    tenants_.list.push_back({"other", false});
    tenants_.index.emplace("other", kOtherTenant);
    grow();
}

Registry::~Registry() = default;

void Registry::grow() {
    for (const auto& slot : slots_) {
        slot->variants_.ensure(variants_.size());
        slot->backends_.ensure(backends_.list.size());
        slot->tenants_.ensure(tenants_.list.size());
    }
}

VariantId Registry::intern_variant(std::string_view model, std::string_view variant,
                                   std::string_view name_space) {
    const std::lock_guard lock(names_mutex_);
    std::pair key{std::string(model), std::string(variant)};
    if (const auto found = variant_index_.find(key); found != variant_index_.end()) {
        VariantName& name = variants_[found->second];
        name.retired = false;
        name.name_space = name_space;
        return VariantId{found->second};
    }
    if (variants_.size() > options_.max_variants) {
        ++dropped_;
        return VariantId{kUnknown};
    }
    const auto id = static_cast<std::uint32_t>(variants_.size());
    variants_.push_back({key.first, key.second, std::string(name_space), false});
    models_[key.first].variants.push_back(id);
    variant_index_.emplace(std::move(key), id);
    grow();
    return VariantId{id};
}

std::uint32_t Registry::intern(Names& names, std::string_view name, std::size_t cap,
                               std::uint32_t overflow) {
    const std::lock_guard lock(names_mutex_);
    if (const auto found = names.index.find(name); found != names.index.end()) {
        names.list[found->second].retired = false;
        return found->second;
    }
    if (names.list.size() > cap + overflow) {
        ++dropped_;
        return overflow;
    }
    const auto id = static_cast<std::uint32_t>(names.list.size());
    names.list.push_back({std::string(name), false});
    names.index.emplace(std::string(name), id);
    grow();
    return id;
}

BackendId Registry::intern_backend(std::string_view name) {
    return BackendId{intern(backends_, name, options_.max_backends, kUnknown)};
}

TenantId Registry::intern_tenant(std::string_view name) {
    return TenantId{intern(tenants_, name, options_.max_tenants, kOtherTenant)};
}

void Registry::retire(VariantId id) {
    const std::lock_guard lock(names_mutex_);
    if (id.value != kUnknown && id.value < variants_.size()) {
        variants_[id.value].retired = true;
    }
}

void Registry::retire(BackendId id) {
    const std::lock_guard lock(names_mutex_);
    if (id.value != kUnknown && id.value < backends_.list.size()) {
        backends_.list[id.value].retired = true;
    }
}

GaugeHandle Registry::register_gauge(Series series, std::vector<std::string> label_values,
                                     std::function<double()> read) {
    MILLRACE_ASSERT(info(series).type != SeriesType::histogram);
    MILLRACE_ASSERT(info(series).label_count() == label_values.size());
    const std::lock_guard lock(callbacks_mutex_);
    const std::uint64_t key = next_key_++;
    callbacks_.push_back({key, series, std::move(label_values), std::move(read)});
    return {this, key};
}

void Registry::unregister(std::uint64_t key) noexcept {
    const std::lock_guard lock(callbacks_mutex_);
    std::erase_if(callbacks_, [key](const Callback& callback) { return callback.key == key; });
}

ModelDemand Registry::demand(std::string_view model, DemandCursor& cursor) const {
    const std::lock_guard lock(names_mutex_);
    return demand_locked(model, cursor);
}

ModelDemand Registry::demand(std::string_view model) {
    const std::lock_guard lock(names_mutex_);
    const auto found = models_.find(model);
    return found == models_.end() ? ModelDemand{} : demand_locked(model, found->second.latch);
}

ModelDemand Registry::demand_locked(std::string_view model, DemandCursor& cursor) const {
    const auto found = models_.find(model);
    if (found == models_.end()) {
        return {};
    }
    DemandCounts counts;
    std::uint64_t arrivals = 0;
    for (const std::uint32_t variant : found->second.variants) {
        for (const auto& slot : slots_) {
            const VariantCells& cells = slot->variant(VariantId{variant});
            counts += cells.demand.read();
            arrivals += cells.arrivals.value();
        }
    }
    const bool latched = arrivals != cursor.arrivals;
    cursor.arrivals = arrivals;
    return {.load = counts.load(),
            .pending = counts.pending,
            .queued = counts.queued,
            .in_flight = counts.in_flight,
            .active = counts.load() > 0 || latched};
}

}  // namespace millrace::metrics
