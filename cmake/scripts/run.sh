#!/usr/bin/env bash
# Builds, then runs two simulated vLLM backends and the gateway in front of them until Ctrl-C.
# MILLRACE_CONFIG names another document than deploy/examples/quickstart.yaml.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
"$here/build.sh" release millrace vllm-sim

bin=$root/build/release/bin
config=${MILLRACE_CONFIG:-deploy/examples/quickstart.yaml}
logs=$root/build/run
mkdir -p "$logs"

pids=()
stop() {
    trap - EXIT INT TERM
    for ((i = ${#pids[@]} - 1; i >= 0; --i)); do
        kill "${pids[i]}" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
trap stop EXIT
trap 'echo; exit 0' INT TERM

start() {  # start NAME COMMAND…
    local name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1 &
    pids+=($!)
}

# wait_for NAME PID URL: until the URL answers 200, or show the log of the process that did not get there.
wait_for() {
    local name=$1 pid=$2 url=$3
    for _ in $(seq 1 100); do
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        if curl -fsS -o /dev/null --max-time 1 "$url" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    echo "run: $name did not become ready at $url; its log ($logs/$name.log):" >&2
    tail -n 40 "$logs/$name.log" >&2
    exit 1
}

start vllm-sim-1 "$bin/vllm-sim" --address 127.0.0.1 --port 8001 --any-model --inter-token-ms 20
start vllm-sim-2 "$bin/vllm-sim" --address 127.0.0.1 --port 8002 --any-model --inter-token-ms 20
wait_for vllm-sim-1 "${pids[0]}" http://127.0.0.1:8001/health
wait_for vllm-sim-2 "${pids[1]}" http://127.0.0.1:8002/health
start millrace "$bin/millrace" serve -c "$config"
wait_for millrace "${pids[2]}" http://127.0.0.1:9090/readyz

sed -e "s|CONFIG|$config|" -e "s|LOGS|$logs|" <<'BANNER'

Millrace is ready on http://127.0.0.1:8080/v1 with two simulated vLLM backends. Ctrl-C ends all three.

  curl http://127.0.0.1:8080/v1/models
  curl -N http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
       -d '{"model":"llama-3-8b","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

Python (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="unused")
  print(client.chat.completions.create(model="llama-3-8b", messages=[{"role": "user", "content": "Hello"}]))

Node (npm install openai):
  import OpenAI from "openai";
  const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "unused" });
  console.log(await client.chat.completions.create({ model: "llama-3-8b", messages: [{ role: "user", content: "Hello" }] }));

Metrics: http://127.0.0.1:9090/metrics    Configuration: CONFIG    Logs: LOGS
BANNER

# The first process that ends by itself takes the others with it.
set +e
wait -n "${pids[@]}"
code=$?
for i in "${!pids[@]}"; do
    if ! kill -0 "${pids[i]}" 2>/dev/null; then
        name=(vllm-sim-1 vllm-sim-2 millrace)
        echo "run: ${name[i]} ended; its log:" >&2
        tail -n 40 "$logs/${name[i]}.log" >&2
    fi
done
exit $((code == 0 ? 1 : code))
