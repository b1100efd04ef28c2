#!/usr/bin/env python3
"""Many concurrent streams through the gateway on all cores: every event accounted for, and memory per stream.

    bench/load/streams.py                     # 5 000 streams of 50 tokens, one every 200 ms
    bench/load/streams.py --quick             # smoke: 500 streams of 20 tokens

Every token carries its serial number, so a lost, repeated or reordered event cannot hide. Passes (exit code 0) when all
streams completed, nothing was lost, the simulator and the gateway counted the same tokens, and all gauges came back to
0. Writes bench/results/DATE-streams.json and .md.
"""
import os
import time

import checks
import report
from checks import Checks, gauges_at_zero, sum_of
from rig import get, metrics, open_files, pss_kib


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
    verdict = Checks()
    window = found["window"]
    wanted = args.streams * args.tokens
    verdict.equal("streams completed", window["streams_completed"], args.streams)
    verdict.equal("failures", window["errors"], 0)
    verdict.equal("tokens received", window["tokens_received"], wanted)
    verdict.equal("tokens lost", window["tokens_lost"], 0)
    verdict.equal("tokens that the gateway counted", found["counted_tokens"], wanted)
    verdict.equal("settlements that are not exact",
                 sum(v for k, v in found["settlements"].items() if k != "exact"), 0)
    verdict.equal("streams in flight while all were live", found["in_flight_while_live"], args.streams)
    verdict.at_most("seconds until all gauges were 0", found["gauges_zero_after_s"], 1)
    # Connections to the backend stay pooled, 64 for each worker, so at most those are left.
    verdict.at_most("open files afterwards, above before", found["files"][1] - found["files"][0], 128)
    verdict.at_most("KiB per live stream", (found["kib_live"] - found["kib_warm"]) / args.streams, 8)
    return verdict


def tables(found):
    window = found["window"]

    def milliseconds(group, *names):
        return " / ".join(f"{window[group][name] / 1000:.1f}" for name in names)
    return "## Figures\n\n" + report.table(["", ""], [
        ["events relayed", window["events"]],
        ["events/s", f"{window['events'] / window['window_s']:.0f}"],
        ["gateway CPU us/event", f"{window['cpu_us_per_event']:.2f}"],
        ["gateway utilisation (cores)", f"{window['utilisation']:.2f}"],
        ["time to first token p50 / p99 ms", milliseconds("first_token_us", "p50", "p99")],
        ["gap p50 / p99 / max ms", milliseconds("gap_us", "p50", "p99", "max")],
        ["tokens that shared a chunk / a read with an earlier one",
         f"{window['merged_in_chunk']} / {window['merged_in_read']}"],
        ["gateway PSS MiB warm / live / 5 s afterwards",
         " / ".join(f"{found[k] / 1024:.1f}" for k in ("kib_warm", "kib_live", "kib_afterwards"))],
    ])


def main():
    args = checks.parse(__doc__, {"streams": 500, "tokens": 20}, streams=5000, tokens=50, inter_token_ms=200.0)
    checks.run(args, "streams", f"{args.streams} concurrent streams", measure, judge, tables,
               streams=args.streams, tokens=args.tokens, inter_token_ms=args.inter_token_ms,
               cores=len(os.sched_getaffinity(0)), placement="gateway, simulator and client share all cores")


if __name__ == "__main__":
    main()
