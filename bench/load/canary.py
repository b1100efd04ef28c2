#!/usr/bin/env python3
"""Weighted variants and sticky callers, counted at the backends.

    bench/load/canary.py                      # 100 000 requests each
    bench/load/canary.py --quick              # smoke: 10 000

80/20 must come out within 0.5 percentage points over all worker threads, and a sticky key must never change its
variant, also not across a reload that leaves the weights alone; when the weights change to 70/30, keys may only move
from the first variant to the second. Exit code 0 when everything holds. Writes bench/results/DATE-canary.json and .md.
"""
import collections
import json
import os
import signal
import time

import checks
from checks import Checks, sum_of
from rig import WindowRefused, get, metrics

VARIANTS = """      - {{name: stable, weight: {stable}, backend: sim, served_name: sim-stable}}
      - {{name: canary, weight: {canary}, backend: sim-canary, served_name: sim-canary}}"""
STICKY = "    sticky: {header: x-session}"


def start(rig, args, **settings):
    cores = set(os.sched_getaffinity(0))
    log = rig.directory / f"models-{len(list(rig.directory.iterdir()))}.jsonl"
    sims = [rig.start_sim(cores, "--log", log, name=name) for name in ("sim", "sim-canary")]
    gateway = rig.start_gateway(
        "millrace-body", sims[0].port, cores, workers=len(cores),
        variants=VARIANTS.format(stable=80, canary=20),
        backends=f"  sim-canary: {{endpoints: {{static: [http://127.0.0.1:{sims[1].port}]}}}}", **settings)
    return cores, sims, gateway, log


def split(rig, args):
    cores, sims, gateway, _ = start(rig, args)
    window = rig.load(gateway.port, "--requests", args.requests, "--connections", 32, cores=cores)
    served = [json.loads(get(sim.port, "/sim/stats")[1])["completed"] for sim in sims]
    page = metrics(gateway.metrics_port)
    counted = [sum_of(page, "millrace_requests_total", variant=v) for v in ("stable", "canary")]
    for process in (gateway, *sims):
        rig.stop(process)
    return {"served": served, "counted": counted, "requests_per_s": window["requests_per_s"]}


def reload(gateway, change):
    """Writes the document anew and waits until its reload has been counted."""
    def reloads():
        return sum_of(metrics(gateway.metrics_port), "millrace_config_reloads_total", result="success")
    before = reloads()
    text = gateway.config.read_text()
    changed = change(text)
    assert changed != text
    part = gateway.config.with_suffix(".part")
    part.write_text(changed)
    part.rename(gateway.config)
    gateway.send_signal(signal.SIGHUP)
    for _ in range(100):
        if reloads() > before:
            time.sleep(0.2)
            return
        time.sleep(0.05)
    raise WindowRefused("the reload did not happen")


def sticky(rig, args):
    cores, sims, gateway, log = start(rig, args, sticky=STICKY)
    def drive(prefix):
        rig.load(gateway.port, "--requests", args.requests // 3, "--connections", 32, "--id-prefix", prefix,
                 "--sticky-header", "x-session", "--sticky-keys", args.keys, cores=cores)
    drive("first")
    reload(gateway, lambda text: text.replace("max_connections: 20000", "max_connections: 19999"))
    drive("same")
    reload(gateway, lambda text: text.replace("weight: 80", "weight: 70").replace("weight: 20", "weight: 30"))
    drive("moved")
    for process in (gateway, *sims):
        rig.stop(process)
    return judge_keys(log)


def judge_keys(log):
    seen = {phase: collections.defaultdict(set) for phase in ("first", "same", "moved")}
    with open(log) as lines:
        for line in lines:
            row = json.loads(line)
            phase, key, _ = row["id"].split("-")
            seen[phase][key].add(row["model"])
    both = {phase: sum(len(models) > 1 for models in keys.values()) for phase, keys in seen.items()}
    one = {phase: {key: next(iter(models)) for key, models in keys.items()} for phase, keys in seen.items()}
    moves = collections.Counter((one["same"][k], one["moved"][k]) for k in one["same"])
    return {"keys": len(one["first"]), "keys_on_two_variants": both,
            "keys_moved_by_a_reload": sum(one["first"][k] != one["same"].get(k) for k in one["first"]),
            "canary_share_of_keys": {phase: round(sum(m == "sim-canary" for m in keys.values()) / len(keys), 4)
                                     for phase, keys in one.items()},
            "moved_to_canary": moves[("sim-stable", "sim-canary")],
            "moved_to_stable": moves[("sim-canary", "sim-stable")]}


def judge(found, args):
    verdict = Checks()
    split_found, sticky_found = found["split"], found["sticky"]
    share = split_found["served"][0] / sum(split_found["served"])
    verdict.equal("requests served", sum(split_found["served"]), args.requests)
    verdict.at_most("points off 80/20", abs(share - 0.8) * 100, 0.5)
    verdict.equal("counted by /metrics as served", split_found["counted"], split_found["served"])
    verdict.equal("sticky keys seen", sticky_found["keys"], args.keys)
    for phase, count in sticky_found["keys_on_two_variants"].items():
        verdict.equal(f"keys on two variants ({phase})", count, 0)
    verdict.equal("keys moved by a reload with the same weights", sticky_found["keys_moved_by_a_reload"], 0)
    verdict.equal("keys moved against the change of weights", sticky_found["moved_to_stable"], 0)
    # 10 points of weight move; four standard deviations of that share of the keys are allowed.
    allowed = args.keys * 0.1 + 4 * (args.keys * 0.1 * 0.9) ** 0.5
    verdict.at_most("keys moved by 80/20 -> 70/30", sticky_found["moved_to_canary"], int(allowed))
    verdict.at_least("keys moved by 80/20 -> 70/30", sticky_found["moved_to_canary"], 1)
    return verdict


def main():
    args = checks.parse(__doc__, {"requests": 10_000}, requests=100_000, keys=2_000)
    checks.run(args, "canary", "Canary split and sticky keys",
               lambda rig, options: {"split": split(rig, options), "sticky": sticky(rig, options)}, judge,
               lambda found: "```json\n" + json.dumps(found, indent=1) + "\n```\n",
               requests=args.requests, keys=args.keys, connections=32)


if __name__ == "__main__":
    main()
