#include "gateway/app/discovery.hpp"

#include <algorithm>
#include <utility>

#include "config/address_syntax.hpp"
#include "routing/discovery.hpp"

namespace millrace::gateway {
namespace {

/// Names in static URLs are looked up again this often.
constexpr Duration kStaticRefresh = std::chrono::seconds(30);

bool is_literal(const std::string& host) {
    return config::is_ipv4(host) || config::is_ipv6(host);
}

/// RFC 6761 §6.3: never somebody else's name.
bool is_localhost(const std::string& host) {
    return host == "localhost" || host.ends_with(".localhost");
}

bool has_names(const config::Endpoints& endpoints) {
    return endpoints.dns.has_value() ||
           std::ranges::any_of(endpoints.static_urls, [](const std::string& url) {
               const auto parsed = routing::parse_endpoint_url(url);
               return parsed && !is_literal(parsed->host);
           });
}

std::vector<routing::EndpointAddress> literal_endpoints(const config::Endpoints& endpoints) {
    std::vector<routing::EndpointAddress> result;
    for (const auto& url : endpoints.static_urls) {
        if (const auto parsed = routing::parse_endpoint_url(url);
            parsed && is_literal(parsed->host)) {
            result.push_back(*parsed);
        }
    }
    return result;
}

}  // namespace

Discovery::Discovery(routing::PoolDirectory& pools, NameResolver resolver, Log warn)
    : pools_(pools), resolver_(std::move(resolver)), warn_(std::move(warn)) {
    thread_ = std::thread([this] { run(); });
}

Discovery::~Discovery() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Discovery::apply(const std::map<std::string, config::Backend>& backends, bool wait) {
    const std::lock_guard lock(mutex_);
    std::erase_if(followed_,
                  [&backends](const auto& entry) { return !backends.contains(entry.first); });
    for (const auto& [name, settings] : backends) {
        auto& followed = followed_[name];
        const bool changed = followed.settings.endpoints != settings.endpoints;
        if (changed) {
            followed = Followed{};
        }
        followed.settings = settings;
        followed.next = std::chrono::steady_clock::now();
        if (wait || !has_names(settings.endpoints)) {
            update(name, look_up(name, followed));
        } else if (auto literal = literal_endpoints(settings.endpoints);
                   changed && !literal.empty()) {
            update(name, literal);  // what needs no look-up serves at once
        }
    }
    changed_.notify_all();
}

std::vector<routing::EndpointAddress> Discovery::look_up_static(Followed& followed) {
    std::vector<routing::EndpointAddress> result;
    for (const auto& url : followed.settings.endpoints.static_urls) {
        const auto parsed = routing::parse_endpoint_url(url);
        if (!parsed) {
            continue;
        }
        if (is_literal(parsed->host)) {
            result.push_back(*parsed);
            continue;
        }
        std::vector<routing::EndpointAddress> found;
        for (const auto& address : resolver_(parsed->host)) {
            if (!is_localhost(parsed->host) && routing::refused_address(address)) {
                continue;
            }
            auto endpoint = *parsed;
            endpoint.name = parsed->host;
            endpoint.host = address;
            found.push_back(std::move(endpoint));
        }
        auto& good = followed.named[url];
        if (!found.empty()) {
            good = std::move(found);
        }
        result.insert(result.end(), good.begin(), good.end());
    }
    return result;
}

void Discovery::update(const std::string& backend,
                       const std::vector<routing::EndpointAddress>& endpoints) {
    if (const auto pool = pools_.find(backend); pool != nullptr) {
        pool->update(endpoints);
    }
}

std::vector<routing::EndpointAddress> Discovery::look_up(const std::string& backend,
                                                         Followed& followed) {
    const auto& endpoints = followed.settings.endpoints;
    auto addresses = look_up_static(followed);
    Duration again = kStaticRefresh;
    if (endpoints.dns) {
        again = endpoints.dns->refresh;
        const config::Endpoints only_dns{{}, endpoints.dns};
        auto found = routing::discover(only_dns, resolver_(endpoints.dns->name), followed.last_good,
                                       is_localhost(endpoints.dns->name));
        if ((found.kept_last_good || found.from_dns.empty()) && !followed.warned) {
            followed.warned = true;
            warn_("backend `" + backend + "`: `" + endpoints.dns->name + "` has no usable address" +
                  (followed.last_good.empty() ? "" : "; the last good ones are kept"));
        } else if (!found.kept_last_good) {
            followed.warned = false;
        }
        followed.last_good = found.from_dns;
        addresses.insert(addresses.end(), found.endpoints.begin(), found.endpoints.end());
    }
    followed.next =
        has_names(endpoints) ? std::chrono::steady_clock::now() + again : Instant::max();
    return addresses;
}

void Discovery::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        Instant next = std::chrono::steady_clock::now() + std::chrono::hours(1);
        for (const auto& [name, followed] : followed_) {
            next = std::min(next, followed.next);
        }
        if (changed_.wait_until(lock, next) == std::cv_status::no_timeout && stopping_) {
            return;
        }
        const Instant now = std::chrono::steady_clock::now();
        std::vector<std::string> due;
        for (const auto& [name, followed] : followed_) {
            if (followed.next <= now) {
                due.push_back(name);
            }
        }
        for (const auto& name : due) {
            const auto found = followed_.find(name);
            if (found == followed_.end()) {
                continue;
            }
            // Looked up without the lock: a slow resolver must not hold up a reload.
            Followed copy = found->second;
            lock.unlock();
            const auto endpoints = look_up(name, copy);
            lock.lock();
            if (const auto again = followed_.find(name);
                again != followed_.end() &&
                again->second.settings.endpoints == copy.settings.endpoints) {
                again->second = std::move(copy);
                update(name, endpoints);
            }
        }
    }
}

}  // namespace millrace::gateway
