#!/usr/bin/env python3
"""A pool that wakes up: thousands wait for its first endpoint.

    bench/load/wake.py                      # 2 000 waiting
    bench/load/wake.py --quick              # smoke: 200

Two models of different priority share one pool whose only endpoint is drained. When all requests are in line it comes
back. Everybody must be answered, the endpoint must never have more than its slots, and the higher band must be served
before the lower one. Exit code 0 when everything holds. Writes bench/results/DATE-wake.json and .md.
"""
import http.client
import json
import os
import time

import checks
from checks import Checks, sum_of
from rig import get, metrics

VARIANTS = "      - {name: only, backend: pool}"
MODELS = "  - {{id: urgent, priority: 200, variants: [{{name: only, backend: pool}}]}}"
POOL = ("  pool: {{slots_per_endpoint: {slots}, queue: {{requests: {requests}, timeout: 120s, hold: 120s}},"
        " endpoints: {{static: [{url}]}}}}")


def post(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path)
        return connection.getresponse().status
    finally:
        connection.close()


def most_at_once(rows):
    """The largest number of requests that overlap, from their starts and ends at the backend."""
    events = sorted([(row["started"], 1) for row in rows] + [(row["ended"], -1) for row in rows],
                    key=lambda event: (event[0], event[1]))
    running = most = 0
    for _, change in events:
        running += change
        most = max(most, running)
    return most


def measure(rig, args):
    cores = set(os.sched_getaffinity(0))
    log = rig.directory / "sim.jsonl"
    sim = rig.start_sim(cores, "--log", log, "--inter-token-ms", 2, "--max-num-seqs", 256, "--tokens", 8)
    url = f"http://127.0.0.1:{sim.port}"
    gateway = rig.start_gateway(
        "millrace-body", sim.port, cores, workers=len(cores), variants=VARIANTS,
        more_models=MODELS.format(), backends=POOL.format(slots=args.slots, requests=args.requests, url=url))
    endpoint = f"?backend=pool&endpoint={url}"
    assert post(gateway.admin_port, "/drain" + endpoint) == 200
    half = args.requests // 2
    loads = [rig.start_load(gateway.port, "--model", model, "--requests", half, "--connections", half,
                            "--timeout", 120, "--sources", 8, cores=cores) for model in ("sim", "urgent")]
    deadline = time.monotonic() + 60
    while sum_of(metrics(gateway.metrics_port), "millrace_queued_requests") < args.requests:
        assert time.monotonic() < deadline, "not everybody is in line"
        time.sleep(0.1)
    woken = time.monotonic()
    post(gateway.admin_port, "/undrain" + endpoint)
    reports = [rig.finish_load(load, allow_failures=True, timeout=180) for load in loads]
    took = time.monotonic() - woken
    time.sleep(1)
    page = metrics(gateway.metrics_port)
    rows = sorted((json.loads(line) for line in log.read_text().splitlines()), key=lambda row: row["started"])
    served = [row["model"] for row in rows]
    overtakes = sum(model == "urgent" for model in served[half + args.slots:])
    return {"answered": sum(report["requests"] for report in reports),
            "failures": sum(report["errors"] for report in reports),
            "reached_the_backend": len(rows), "most_at_once": most_at_once(rows),
            "urgent_served_after_its_turn": overtakes, "seconds": round(took, 2),
            "requests_per_s": round(args.requests / took),
            "gauges_afterwards": {name: sum_of(page, name) for name in checks.GAUGES}}


def judge(found, args):
    verdict = Checks()
    verdict.equal("answered", found["answered"], args.requests)
    verdict.equal("failures", found["failures"], 0)
    verdict.equal("requests that reached the backend", found["reached_the_backend"], args.requests)
    verdict.at_most("most at once at the endpoint", found["most_at_once"], args.slots)
    verdict.equal("urgent ones served after the others", found["urgent_served_after_its_turn"], 0)
    for name, value in found["gauges_afterwards"].items():
        verdict.equal(name + " afterwards", value, 0)
    return verdict


def main():
    args = checks.parse(__doc__, {"requests": 200}, requests=2_000, slots=64)
    checks.run(args, "wake", f"{args.requests} requests waiting for the first endpoint", measure, judge,
               lambda found: "```json\n" + json.dumps(found, indent=1) + "\n```\n",
               requests=args.requests, slots=args.slots)


if __name__ == "__main__":
    main()
