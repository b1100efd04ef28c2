#!/usr/bin/env python3
"""Long and short prompts together: load-aware choice against the fewest requests in flight.

    bench/load/mixed.py
    bench/load/mixed.py --quick

One prompt in ten is forty times as long as the others, so that a count of requests says little about the work that is
queued. Poisson arrivals at a share of what four simulated engines can prefill. Both policies get the same arrivals on
fresh engines, turn about; the figure is the median of the ratios. Writes bench/results/DATE-mixed.json and .md.
"""
import json
import os
import random
import statistics

import arrivals
import checks
from checks import Checks

ENGINES, BATCH = 4, 2048
SHORT, LONG, LONG_SHARE = 300, 12_000, 0.1
PICKERS = {"fewest in flight": "picker: {by: [session], session: {header: x-none}}",
           "load": "picker: {by: [load]}"}


def arrivals_of(args, seed):
    """At `load` per cent of the engines' prefill capacity, an iteration's base cost included."""
    rate_of_engine = BATCH / (BATCH / args.prefill + args.base_ms / 1000)
    mean = LONG * LONG_SHARE + SHORT * (1 - LONG_SHARE)
    rate = args.load_percent / 100 * ENGINES * rate_of_engine / mean
    rng = random.Random(seed + 1)
    requests = []
    for at in arrivals.poisson(rate, args.seconds, seed):
        is_long = rng.random() < LONG_SHARE
        prompt = "".join(rng.choices("abcdefghijklmnop", k=(LONG if is_long else SHORT) * 4 - 40))
        requests.append(arrivals.Request(at, arrivals.chat(prompt, 16), {"x-sim-tokens": 16},
                                         "long" if is_long else "short"))
    return requests


def measure_policy(rig, args, policy, requests):
    cores = set(os.sched_getaffinity(0))
    sims = [rig.start_sim(cores, "--inter-token-ms", args.base_ms, "--prefill-tokens-per-second", args.prefill,
                          "--max-num-batched-tokens", BATCH, "--kv-tokens", 400_000, "--max-num-seqs", 128,
                          name=f"sim-{i}") for i in range(ENGINES)]
    urls = ", ".join(f"http://127.0.0.1:{sim.port}" for sim in sims)
    gateway = rig.start_gateway(
        "millrace-body", sims[0].port, cores, workers=1, variants="      - {name: only, backend: pool}",
        sticky="    " + PICKERS[policy],
        backends=f"  pool: {{slots_per_endpoint: 100000, metrics: {{interval: 1s}}, endpoints: {{static: [{urls}]}}}}")
    outcomes = arrivals.run(gateway.port, requests)
    for process in [gateway, *sims]:
        rig.stop(process)
    warm = 0.1 * args.seconds
    first = {label: [outcome.first for outcome in outcomes if outcome.request.at >= warm and outcome.first is not None
                     and outcome.request.label in label] for label in (("short",), ("long",), ("short", "long"))}
    return {"requests": len(outcomes), "failed": sum(not outcome.complete for outcome in outcomes),
            "all": arrivals.milliseconds(first["short", "long"]), "short": arrivals.milliseconds(first["short",]),
            "long": arrivals.milliseconds(first["long",])}


def measure(rig, args):
    found = {policy: [] for policy in PICKERS}
    for repetition in range(args.repetitions):
        requests = arrivals_of(args, 100 + repetition)
        order = list(PICKERS) if repetition % 2 == 0 else list(reversed(PICKERS))
        for policy in order:
            found[policy].append(measure_policy(rig, args, policy, requests))
            print(policy, json.dumps(found[policy][-1]), flush=True)
    pairs = list(zip(found["load"], found["fewest in flight"]))
    found["ratios_p99"] = [round(load["all"]["p99"] / least["all"]["p99"], 3) for load, least in pairs]
    return found


def judge(found, args):
    verdict = Checks()
    for policy in PICKERS:
        verdict.equal(f"failed ({policy})", sum(run["failed"] for run in found[policy]), 0)
    verdict.at_most("p99 TTFT, load / fewest in flight, median", statistics.median(found["ratios_p99"]), 0.75)
    return verdict


def table(found):
    lines = ["| policy | requests | TTFT ms, all: p50 / p90 / p99 | short | long |", "|---|--:|--:|--:|--:|"]
    for policy in PICKERS:
        for run in found[policy]:
            cells = [" / ".join(str(value) for value in run[kind].values()) for kind in ("all", "short", "long")]
            lines.append(f"| {policy} | {run['requests']} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nRatios of p99: {found['ratios_p99']}\n"


def main():
    args = checks.parse(__doc__, {"seconds": 6, "repetitions": 1}, seconds=30, repetitions=5, load_percent=85,
                        prefill=20_000, base_ms=5)
    checks.run(args, "mixed", f"long and short prompts at {args.load_percent} % load", measure, judge, table,
               seconds=args.seconds, repetitions=args.repetitions, prefill=args.prefill)


if __name__ == "__main__":
    main()
