#!/usr/bin/env python3
"""One of three backends breaks in every way, at random phases.

    bench/load/failover.py                      # 500 broken requests of each kind of answer
    bench/load/failover.py --quick              # smoke: 60

The broken backend closes, resets or stalls before the head, after it, or after some tokens, sends invalid chunks,
502 and 503 (a 500 is the backend's answer to the request and is relayed). Whatever breaks before the first byte of an answer must not be seen by any client; what
breaks later must be seen as broken by every client: no stream may look complete and none may repeat a token (each token
of a simulated answer is known in advance and compared). Exit code 0 when everything holds. Writes
bench/results/DATE-failover.json and .md.
"""
import json
import os
import random
import time
import urllib.request

import checks
from checks import Checks, sum_of
from rig import metrics

BEFORE = ["die@start", "rst@start", "stall@start", "die@head", "rst@head", "status=502", "status=503", "lf-head", "te-cl",
          "bad-chunk@tokens=0"]
LATER = ["die@tokens={k}", "rst@tokens={k}", "stall@tokens={k}", "bad-chunk@tokens={k}"]
POOL = ("  pool: {{outliers: {{failures: 0, failure_percent: 0}}, timeouts: {{first_byte: 1s, first_token: 1s,"
        " idle: 1s}}, endpoints: {{static: [{urls}]}}}}")


def set_fault(sim, fault, every=1):
    body = json.dumps({"fault": fault, "every": every}).encode()
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{sim.port}/sim/faults", body,
                                                  {"content-type": "application/json"}), timeout=10).read()


def lines(rig):
    """Requests in the log of the backend that breaks."""
    log = rig.directory / "sim-0.jsonl"
    return sum(1 for _ in open(log)) if log.exists() else 0


def settled_lines(rig):
    """The same when nothing is missing: a stalled answer is logged when its reader has left, and after its client."""
    seen, since = lines(rig), time.monotonic()
    while time.monotonic() < since + 1:
        time.sleep(0.1)
        if lines(rig) != seen:
            seen, since = lines(rig), time.monotonic()
    return seen


def phase(rig, gateway, sims, faults, args, seed):
    """Runs streams while the first backend changes its fault; the report of the load generator, and how many broke."""
    rng = random.Random(seed)
    total = {"streams": 0, "errors": 0, "error_kinds": {}}
    before = settled_lines(rig)
    while lines(rig) - before < args.broken:
        fault = rng.choice(faults).format(k=rng.randint(1, 15))
        set_fault(sims[0], fault)
        report = rig.load(gateway.port, "--streams", 12, "--once", "--tokens", 16, "--inter-token-ms", 1,
                          cores=set(os.sched_getaffinity(0)), allow_failures=True)
        total["streams"] += report["streams"]
        total["errors"] += report["errors"]
        for kind, count in report["error_kinds"].items():
            total["error_kinds"][kind] = total["error_kinds"].get(kind, 0) + count
    set_fault(sims[0], "")
    total["broken_at_the_backend"] = settled_lines(rig) - before
    return total


def measure(rig, args):
    cores = set(os.sched_getaffinity(0))
    sims = [rig.start_sim(cores, "--log", rig.directory / f"sim-{i}.jsonl", name=f"sim-{i}") for i in range(3)]
    urls = ", ".join(f"http://127.0.0.1:{sim.port}" for sim in sims)
    gateway = rig.start_gateway("millrace-body", sims[0].port, cores, workers=len(cores),
                                variants="      - {name: only, backend: pool}", backends=POOL.format(urls=urls))
    found = {"before": phase(rig, gateway, sims, BEFORE, args, 1), "later": phase(rig, gateway, sims, LATER, args, 2)}
    page = metrics(gateway.metrics_port)
    found["retries"] = sum_of(page, "millrace_retries_total")
    found["gauges_afterwards"] = {name: sum_of(page, name) for name in checks.GAUGES}
    return found


def judge(found, args):
    verdict = Checks()
    before, later = found["before"], found["later"]
    verdict.at_least("broken before the first byte", before["broken_at_the_backend"], args.broken)
    verdict.equal("seen by clients", before["errors"], 0)
    verdict.at_least("broken later", later["broken_at_the_backend"], args.broken)
    # Everything that the backend broke after its first token was an error for its client, and nothing else was.
    kinds = later["error_kinds"]
    content = {kind: kinds.get(kind, 0) for kind in ("tokens lost", "wrong events", "usage nobody asked for")}
    verdict.equal("broken answers that clients saw as broken", later["errors"] - sum(content.values()),
                  later["broken_at_the_backend"])
    verdict.equal("streams that looked complete and were not", kinds.get("stream not complete", 0), 0)
    verdict.equal("tokens missing in the middle or repeated, and other surplus", sum(content.values()), 0)
    for name, value in found["gauges_afterwards"].items():
        verdict.equal(name + " afterwards", value, 0)
    return verdict


def main():
    args = checks.parse(__doc__, {"broken": 60}, broken=500)
    checks.run(args, "failover", "A backend that breaks in every way", measure, judge,
               lambda found: "```json\n" + json.dumps(found, indent=1) + "\n```\n", broken=args.broken)


if __name__ == "__main__":
    main()
