#!/usr/bin/env bash
# run.sh BUILD LOG: the official OpenAI SDKs (Python and Node) against the gateway and a simulated backend.
# The SDKs are installed privately under BUILD/../sdk through the ordinary clients of their registries. When a registry
# cannot be reached, that SDK's suite is reported as skipped with the reason, never as passed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
log=$2
home=$build/../sdk
mkdir -p "$home" "$(dirname "$log")"
: >"$log"

work=$(mktemp -d)
pids=()
# shellcheck disable=SC2317  # called by the trap
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT

# install NAME KEY COMMAND…: runs the command unless KEY was installed before; its last words on failure.
install() {
    local name=$1 key=$2 stamp
    shift 2
    stamp=$home/$name.installed
    [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && return 0
    rm -f "$stamp"
    "$@" >"$home/$name.log" 2>&1 || return 1
    echo "$key" >"$stamp"
}
install_python() {
    rm -rf "$home/venv"
    python3 -m venv "$home/venv" &&
        "$home/venv/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$here/python/requirements.txt"
}
install_node() {
    mkdir -p "$home/node"
    cp "$here/node/package.json" "$here/node/package-lock.json" "$home/node/" &&
        (cd "$home/node" && npm ci --no-audit --no-fund --ignore-scripts)
}
key_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

# Below the ephemeral range, so that no outgoing connection takes a port between here and its use.
read -r sim_port data_port metrics_port admin_port dead_port < <(python3 - <<'PY'
import random
import socket
free = []
while len(free) < 5:
    with socket.socket() as probe:
        port = random.randrange(10_000, 30_000)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in free:
            free.append(port)
print(*free)
PY
)

cat >"$work/millrace.yaml" <<YAML
listeners:
  data: {address: "127.0.0.1:$data_port"}
  metrics: {address: "127.0.0.1:$metrics_port"}
  admin: {address: "127.0.0.1:$admin_port"}
models:
  - {id: m1, variants: [{name: stable, backend: sim}]}
  - {id: org/m2, variants: [{name: stable, backend: sim, served_name: m1}]}
  - {id: dead, variants: [{name: stable, backend: dead}]}
backends:
  sim: {endpoints: {static: ["http://127.0.0.1:$sim_port"]}}
  dead: {endpoints: {static: ["http://127.0.0.1:$dead_port"]}}
YAML

"$build/bin/vllm-sim" --address 127.0.0.1 --port "$sim_port" --model m1 >"$work/sim.log" 2>&1 &
pids+=($!)
"$build/bin/millrace" serve -c "$work/millrace.yaml" >"$work/millrace.log" 2>&1 &
pids+=($!)
# wait_for NAME URL: until it answers 200.
wait_for() {
    local name=$1 url=$2
    for _ in $(seq 1 200); do
        curl -fsS -o /dev/null --max-time 1 "$url" 2>/dev/null && return 0
        sleep 0.05
    done
    echo "CASE failed sdk.start $name did not become ready" | tee -a "$log"
    cat "$work/$name.log"
    exit 1
}
wait_for sim "http://127.0.0.1:$sim_port/health"
wait_for millrace "http://127.0.0.1:$metrics_port/readyz"

# A driver that dies before its last case counts as one failed case.
run_driver() {  # run_driver NAME COMMAND…
    local name=$1
    shift
    timeout 300 "$@" "http://127.0.0.1:$data_port/v1" "http://127.0.0.1:$sim_port" "http://127.0.0.1:$dead_port/v1" \
        2>"$work/$name.err" | tee -a "$log"
    local code=${PIPESTATUS[0]}
    if [ "$code" -gt 1 ] || { [ "$code" -eq 1 ] && ! grep -q "^CASE failed sdk.$name\." "$log"; }; then
        echo "CASE failed sdk.$name.driver ended with code $code: $(tail -n 3 "$work/$name.err" | tr '\n' ' ')" | tee -a "$log"
    fi
}
skip() {  # skip NAME
    echo "CASE skipped sdk.$1 the SDK could not be installed: $(tail -n 1 "$home/$1.log" 2>/dev/null)" | tee -a "$log"
}

if install python "$(key_of "$here/python/requirements.txt")" install_python; then
    run_driver python "$home/venv/bin/python" "$here/python/sdk_test.py"
else
    skip python
fi
if install node "$(key_of "$here/node/package.json" "$here/node/package-lock.json")" install_node; then
    cp "$here/node/sdk_test.mjs" "$home/node/"
    run_driver node node "$home/node/sdk_test.mjs"
else
    skip node
fi
! grep -q '^CASE failed' "$log"
