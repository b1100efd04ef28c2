#!/usr/bin/env python3
"""Many concurrent streams through the gateway on all cores: every event accounted for, and memory per stream.

    bench/load/streams.py                     # 5 000 streams of 50 tokens, one every 200 ms
    bench/load/streams.py --quick             # smoke: 500 streams of 20 tokens

Every token carries its serial number, so a lost, repeated or reordered event cannot hide. Passes (exit code 0) when all
streams completed, nothing was lost, the simulator and the gateway counted the same tokens, and all gauges came back to
0. Writes bench/results/DATE-streams.json and .md.
"""
import argparse
import datetime
import os
import shlex
import sys
import time

import report
import rig as rigs
from checks import Checks, gauges_at_zero, sum_of
from rig import Rig, get, metrics, open_files, pss_kib


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rigs.add_binaries(parser)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--inter-token-ms", type=float, default=200)
    args = parser.parse_args()
    if args.quick:
        args.streams, args.tokens = 500, 20
    return args


def measure(rig, args):
    cores = set(os.sched_getaffinity(0))
    sim = rig.start_sim(cores)
    gateway = rig.start_gateway("millrace-body", sim.port, cores, workers=len(cores))
    # Code pages and pools that any traffic touches are not a stream's.
    rig.load(gateway.port, "--streams", 16, "--once", "--tokens", 10, cores=cores)
    files, warm = open_files(gateway.pid), pss_kib(gateway.pid)
    tokens_before = sum_of(metrics(gateway.metrics_port), "millrace_tokens_total", kind="completion")
    load = rig.start_load(gateway.port, "--streams", args.streams, "--once", "--tokens", args.tokens,
                          "--inter-token-ms", args.inter_token_ms, "--sources", 50, "--warmup", 2,
                          "--timeout", 60, cores=cores, watch=gateway)
    rig.wait_ready(load)
    time.sleep(0.5)
    live = pss_kib(gateway.pid)
    in_flight = sum_of(metrics(gateway.metrics_port), "millrace_in_flight_requests")
    window = rig.finish_load(load, allow_failures=True)
    zero_after = gauges_at_zero(gateway.metrics_port)
    page = metrics(gateway.metrics_port)
    time.sleep(5)
    return {"window": window, "kib_warm": warm, "kib_live": live, "kib_afterwards": pss_kib(gateway.pid),
            "in_flight_while_live": in_flight, "files": [files, open_files(gateway.pid)],
            "gauges_zero_after_s": zero_after, "sim": get(sim.port, "/sim/stats")[1],
            "counted_tokens": sum_of(page, "millrace_tokens_total", kind="completion") - tokens_before,
            "settlements": {k: sum_of(page, "millrace_settlements_total", exactness=k)
                            for k in ("none", "exact", "partial", "estimated")}}


def judge(found, args):
    checks = Checks()
    window = found["window"]
    wanted = args.streams * args.tokens
    checks.equal("streams completed", window["streams_completed"], args.streams)
    checks.equal("failures", window["errors"], 0)
    checks.equal("tokens received", window["tokens_received"], wanted)
    checks.equal("tokens lost", window["tokens_lost"], 0)
    checks.equal("tokens that the gateway counted", found["counted_tokens"], wanted)
    checks.equal("settlements that are not exact",
                 sum(v for k, v in found["settlements"].items() if k != "exact"), 0)
    checks.equal("streams in flight while all were live", found["in_flight_while_live"], args.streams)
    checks.at_most("seconds until all gauges were 0", found["gauges_zero_after_s"], 1)
    # Connections to the backend stay pooled, 64 for each worker, so at most those are left.
    checks.at_most("open files afterwards, above before", found["files"][1] - found["files"][0], 128)
    checks.at_most("KiB per live stream", (found["kib_live"] - found["kib_warm"]) / args.streams, 8)
    return checks


def main():
    args = parse()
    results = {"date": datetime.date.today().isoformat(), "command": shlex.join(sys.argv), "quick": args.quick,
               "machine": rigs.describe_machine(args),
               "protocol": {"streams": args.streams, "tokens": args.tokens, "inter_token_ms": args.inter_token_ms,
                            "cores": len(os.sched_getaffinity(0)), "placement": "gateway, simulator and client share all cores"}}
    with Rig(args) as rig:
        results["found"] = measure(rig, args)
    checks = judge(results["found"], args)
    results["checks"] = checks.rows
    window = results["found"]["window"]
    tables = checks.table() + "\n## Figures\n\n" + report.table(["", ""], [
        ["events relayed", window["events"]],
        ["events/s", f"{window['events'] / window['window_s']:.0f}"],
        ["gateway CPU us/event", f"{window['cpu_us_per_event']:.2f}"],
        ["gateway utilisation (cores)", f"{window['utilisation']:.2f}"],
        ["time to first token p50 / p99 ms", f"{window['first_token_us']['p50'] / 1000:.2f} / {window['first_token_us']['p99'] / 1000:.2f}"],
        ["gap p50 / p99 / max ms", f"{window['gap_us']['p50'] / 1000:.1f} / {window['gap_us']['p99'] / 1000:.1f} / {window['gap_us']['max'] / 1000:.1f}"],
        ["tokens that shared a chunk / a read with an earlier one", f"{window['merged_in_chunk']} / {window['merged_in_read']}"],
        ["gateway PSS MiB warm / live / 5 s afterwards", " / ".join(f"{results['found'][k] / 1024:.1f}" for k in ("kib_warm", "kib_live", "kib_afterwards"))],
    ])
    report.write(results, args.results, "streams", tables, f"{args.streams} concurrent streams")
    sys.exit(checks.exit_code())


if __name__ == "__main__":
    main()
