#!/usr/bin/env python3
"""Twice as much as can be served: goodput, the top band's deadline, and the neighbours of a flood.

    bench/load/overload.py
    bench/load/overload.py --quick

Four engines with a fixed number of slots; answers of 5 to 35 tokens. First their capacity, as what they complete under
more load than they can take without a deadline. Then twice that, in three bands, with `queue.timeout` as the deadline.
Then two tenants at a quarter of the capacity each, alone and beside a third that offers twice the capacity.
Writes bench/results/DATE-overload.json and .md.
"""
import json
import os
import random
import subprocess

import arrivals
import checks
from checks import Checks

ENGINES, SLOTS, TOKENS, TOKEN_MS = 4, 8, 20, 10
SHORTEST, LONGEST = 5, 35  # answers of one length would all end at once, and a line would move in jerks
NOMINAL = ENGINES * SLOTS / (TOKENS * TOKEN_MS / 1000)  # requests per second
DEADLINE = 2
BANDS = {"top": (300, 0.2), "middle": (200, 0.6), "batch": (100, 1.2)}  # priority, share of the capacity offered
TENANTS = ("anna", "bert", "flood")


def keys_of(rig):
    """Tokens by tenant, and the section of the configuration that knows them."""
    pepper, table = rig.directory / "pepper", rig.directory / "keys"
    pepper.write_text("pepper for a benchmark on loopback only")
    tokens, lines = {}, []
    for tenant in TENANTS:
        said = subprocess.run([rig.args.millrace, "keys", "new", "--tenant", tenant, "--pepper-file", pepper],
                              capture_output=True, text=True, check=True).stdout.splitlines()
        made = dict(line.split(": ", 1) for line in said if line.startswith(("key:", "line:")))
        tokens[tenant] = made["key"].strip()
        lines.append(made["line"].strip())
    table.write_text("\n".join(lines) + "\n")
    return tokens, f"authentication: {{keys: {{file: {table}, pepper: {{file: {pepper}}}}}}}"


def start(rig, timeout, keys=""):
    cores = set(os.sched_getaffinity(0))
    sims = [rig.start_sim(cores, "--tokens", TOKENS, "--inter-token-ms", TOKEN_MS, "--max-num-seqs", 64,
                          name=f"sim-{i}") for i in range(ENGINES)]
    urls = ", ".join(f"http://127.0.0.1:{sim.port}" for sim in sims)
    models = "\n".join(f"  - {{id: {band}, priority: {priority}, variants: [{{name: only, backend: pool}}]}}"
                       for band, (priority, _) in BANDS.items())
    gateway = rig.start_gateway(
        "millrace-body", sims[0].port, cores, workers=1, variants="      - {name: only, backend: pool}",
        more_models=models,
        backends=f"  pool: {{slots_per_endpoint: {SLOTS}, queue: {{requests: 1000, tenant_requests: TENANT, timeout: "
                 f"{timeout}s}}, endpoints: {{static: [{urls}]}}}}\n{keys}".replace("TENANT", "300" if keys else "0"))
    return gateway, [gateway, *sims]


def offer(rig, seconds, streams, timeout=DEADLINE, keys=""):
    """`streams`: (label, requests per second, model, headers); the outcomes by label."""
    gateway, processes = start(rig, timeout, keys)
    requests = []
    for number, (label, rate, model, headers) in enumerate(streams):
        rng = random.Random(number)
        for at in arrivals.poisson(rate, seconds, 7 + number):
            tokens = rng.randint(SHORTEST, LONGEST)
            requests.append(arrivals.Request(at, arrivals.chat("Hello", tokens, model),
                                             {**headers, "x-sim-tokens": tokens}, label))
    requests.sort(key=lambda request: request.at)
    outcomes = arrivals.run(gateway.port, requests)
    for process in processes:
        rig.stop(process)
    return {label: [outcome for outcome in outcomes if outcome.request.label == label] for label, *_ in streams}


def completed(outcomes, begin, end):
    """Requests whose stream ended within the window, per second."""
    return sum(outcome.complete and begin <= outcome.request.at + outcome.total < end
               for outcome in outcomes) / (end - begin)


def summary(outcomes):
    good = [outcome.total for outcome in outcomes if outcome.complete]
    reasons = sorted({f"{outcome.status} {outcome.reason}".strip() for outcome in outcomes if not outcome.complete})
    return {"offered": len(outcomes), "served": len(good), "served_part": round(len(good) / len(outcomes), 4),
            "latency_ms": arrivals.milliseconds(good), "refused_as": reasons}


def measure(rig, args):
    begin, end = DEADLINE + 1, args.seconds
    saturated = offer(rig, args.seconds, [("all", 1.2 * NOMINAL, "top", {})], timeout=60)["all"]
    found = {"capacity_per_s": round(completed(saturated, begin, end), 1)}
    capacity = found["capacity_per_s"]
    bands = offer(rig, args.seconds, [(band, share * capacity, band, {}) for band, (_, share) in BANDS.items()])
    found["goodput_per_s"] = round(sum(completed(outcomes, begin, end) for outcomes in bands.values()), 1)
    found["bands"] = {band: summary(outcomes) for band, outcomes in bands.items()}
    tokens, keys = keys_of(rig)
    quiet = [(name, 0.25 * capacity, "middle", {"authorization": "Bearer " + tokens[name]}) for name in TENANTS[:2]]
    flood = [("flood", 2 * capacity, "middle", {"authorization": "Bearer " + tokens["flood"]})]
    for name, streams in (("alone", quiet), ("beside the flood", quiet + flood)):
        found[name] = {label: summary(outcomes)
                       for label, outcomes in offer(rig, args.seconds, streams, keys=keys).items()}
    print(json.dumps(found), flush=True)
    return found


def judge(found, args):
    verdict = Checks()
    verdict.at_least("goodput / capacity", round(found["goodput_per_s"] / found["capacity_per_s"], 3), 0.95)
    verdict.at_least("top band within its deadline", found["bands"]["top"]["served_part"], 0.99)
    for tenant in TENANTS[:2]:
        calm, stormy = found["alone"][tenant], found["beside the flood"][tenant]
        verdict.at_least(f"{tenant} served beside the flood", stormy["served_part"], 0.99)
        verdict.at_most(f"{tenant}'s p99 beside the flood / alone",
                        round(stormy["latency_ms"]["p99"] / calm["latency_ms"]["p99"], 3), 1.5)
    return verdict


def main():
    args = checks.parse(__doc__, {"seconds": 6}, seconds=20)
    checks.run(args, "overload", "twice the capacity", measure, judge,
               lambda found: "```json\n" + json.dumps(found, indent=1) + "\n```\n", seconds=args.seconds)


if __name__ == "__main__":
    main()
