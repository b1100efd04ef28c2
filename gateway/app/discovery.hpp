// Discovery: keeps every pool's endpoints what the configuration and DNS say, on a thread of its
// own because name resolution blocks.
//
// A failed or empty answer keeps the last good addresses. Literal addresses are never looked up.
// Thread-safety: apply() and destruction from the control thread; pools are updated from apply()'s
// thread (what is literal) and the own one.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/base/clock.hpp"
#include "config/model.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

/// Name → address literals; empty when it does not resolve. Blocking.
using NameResolver = std::function<std::vector<std::string>(const std::string& name)>;

class Discovery {
public:
    using Log = std::function<void(const std::string&)>;

    Discovery(routing::PoolDirectory& pools, NameResolver resolver, Log warn);
    Discovery(const Discovery&) = delete;
    Discovery& operator=(const Discovery&) = delete;
    ~Discovery();

    /// Follows these backends from here on. Their literal endpoints are in place when it returns;
    /// with `wait`, so are the resolved ones (one round), which is how the process starts.
    void apply(const std::map<std::string, config::Backend>& backends, bool wait);

private:
    struct Followed {
        config::Backend settings;
        std::vector<routing::EndpointAddress> last_good;
        std::map<std::string, std::vector<routing::EndpointAddress>>
            named;  // static URLs with a name
        Instant next{};
        bool warned = false;
    };

    void run();
    /// What the backend's endpoints are, after asking for every name in them. Blocks.
    std::vector<routing::EndpointAddress> look_up(const std::string& backend, Followed& followed);
    std::vector<routing::EndpointAddress> look_up_static(Followed& followed);
    void update(const std::string& backend, const std::vector<routing::EndpointAddress>& endpoints);

    routing::PoolDirectory& pools_;
    NameResolver resolver_;
    Log warn_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Followed> followed_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace millrace::gateway
