#!/usr/bin/env python3
"""Clients that leave: tens of thousands of streams aborted at random times, half with FIN, half with RST.

    bench/load/abort_storm.py                 # 100 000 aborts after U(0, 200 ms)
    bench/load/abort_storm.py --quick         # smoke: 5 000

Afterwards every gauge must be 0 within 1 s and the money must be right: the gateway's access log, joined with the
simulator's own log on the request id, has one row for each request that reached the simulator; rows marked `exact`
carry its tokens to the last one, and a row marked `partial` lacks at most the tokens in bytes that the simulator wrote
and the gateway had not read (its `upstream_bytes_read` says how many it had). Exit code 0 when everything holds. Writes
bench/results/DATE-abort-storm.json and .md.
"""
import argparse
import bisect
import collections
import datetime
import json
import os
import shlex
import sys
import time

import report
import rig as rigs
from checks import Checks, gauges_at_zero, sum_of
from rig import Rig, get, metrics, open_files, pss_kib

PREFIX = "storm"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rigs.add_binaries(parser)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--abort-after-ms", type=float, default=200)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--ttft-ms", type=float, default=30,
                        help="so that some leave before the head, some before the first token")
    args = parser.parse_args()
    if args.quick:
        args.requests = 5_000
    return args


def storm(rig, args):
    cores = set(os.sched_getaffinity(0))
    sim_log, access_log = rig.directory / "sim.jsonl", rig.directory / "access.jsonl"
    # A short life of SIGTERM lets the log be written to its end.
    sim = rig.start_sim(cores, "--log", sim_log)
    gateway = rig.start_gateway("millrace-body", sim.port, cores, workers=len(cores), access_log=access_log)
    rig.load(gateway.port, "--streams", 16, "--once", "--tokens", 10, "--id-prefix", "warm", cores=cores)
    files, warm = open_files(gateway.pid), pss_kib(gateway.pid)
    window = rig.load(gateway.port, "--abort-after", args.abort_after_ms, "--requests", args.requests,
                      "--connections", args.connections, "--tokens", 100, "--inter-token-ms", 5,
                      "--ttft-ms", args.ttft_ms, "--id-prefix", PREFIX, "--sources", 50,
                      "--record", rig.directory / "client.txt", cores=cores, watch=gateway,
                      allow_failures=True, timeout=3600)
    zero_after = gauges_at_zero(gateway.metrics_port)
    live = json.loads(get(sim.port, "/sim/stats")[1])["live"]
    page = metrics(gateway.metrics_port)
    time.sleep(1)
    found = {"window": window, "gauges_zero_after_s": zero_after, "sim_live": live,
             "kib_warm": warm, "kib_afterwards": pss_kib(gateway.pid), "files": [files, open_files(gateway.pid)],
             "metrics": {"requests": sum_of(page, "millrace_requests_total"),
                         "completion": sum_of(page, "millrace_tokens_total", kind="completion"),
                         "prompt": sum_of(page, "millrace_tokens_total", kind="prompt"),
                         "log_lines_dropped": sum_of(page, "millrace_access_log_dropped_total")}}
    rig.stop(gateway)
    rig.stop(sim)
    found["join"] = join(sim_log, access_log, rig.directory / "client.txt")
    return found


def rows_of(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.strip()]


def tokens_within(marks, size):
    """Tokens whose events lie completely in the first `size` bytes of the response."""
    at = bisect.bisect_right(marks, size, key=lambda mark: mark[1])
    return marks[at - 1][0] if at else 0


def join(sim_log, access_log, client_log):
    counts = collections.Counter()
    examples = {}

    def wrong(kind, **row):
        counts[kind] += 1
        examples.setdefault(kind, row)

    gateway = {}
    for row in rows_of(access_log):
        for kind in ("completion_tokens", "prompt_tokens"):
            row.setdefault(kind, 0)  # a row without is one where nothing is known
        counts["gateway_rows"] += 1
        counts["all_completion"] += row["completion_tokens"]
        counts["all_prompt"] += row["prompt_tokens"]
        counts[f"exactness_{row.get('exactness')}"] += 1
        counts[f"outcome_{row['outcome']}"] += 1
        if row["request_id"] in gateway:
            wrong("duplicate_gateway_rows", ours=row)
        gateway[row["request_id"]] = row
    for sim in rows_of(sim_log):
        counts["sim_rows"] += 1
        counts[f"sim_{sim['end']}"] += 1
        ours = gateway.get(sim["id"])
        if ours is None:
            wrong("sim_rows_without_gateway_row", sim={k: v for k, v in sim.items() if k != "marks"})
            continue
        check(sim, ours, counts, wrong)
    with open(client_log) as lines:
        for line in lines:
            request, _, tokens, _ = line.split()
            ours = gateway.get(request)
            if int(tokens) > 0 and (ours is None or ours["completion_tokens"] < int(tokens)):
                wrong("client_got_more_than_settled", client=line, ours=ours)
    return {"counts": dict(counts), "examples": examples}


def check(sim, ours, counts, wrong):
    written, settled = sim["tokens_written"], ours["completion_tokens"]
    brief = {"sim": {k: sim[k] for k in ("id", "tokens", "tokens_written", "bytes_written", "end")}, "ours": ours}
    counts["backend_tokens_written"] += written
    counts["settled_tokens"] += settled
    if ours["exactness"] == "exact":
        if (settled, ours["prompt_tokens"]) != (sim["tokens"], sim["prompt_tokens"]):
            wrong("exact_rows_wrong", **brief)
        return
    unread = written - tokens_within(sim["marks"], ours["upstream_bytes_read"])
    counts["tokens_not_settled"] += written - settled
    counts["tokens_not_read"] += unread
    if settled > written:
        wrong("settled_more_than_written", **brief)
    elif written - settled > unread:
        wrong("partial_rows_out_of_bound", **brief)
    if settled > 0 and ours["prompt_tokens"] != sim["prompt_tokens"]:
        wrong("prompt_tokens_wrong", **brief)


def judge(found, args):
    checks = Checks()
    window, counts = found["window"], found["join"]["counts"]
    checks.equal("client failures", window["errors"], 0)
    checks.equal("requests that ended at the client", window["requests"], args.requests)
    checks.at_least("of them aborted", window["aborted"], int(args.requests * 0.99))
    checks.at_most("seconds until all gauges were 0", found["gauges_zero_after_s"], 1)
    checks.equal("live requests left in the simulator", found["sim_live"], 0)
    checks.equal("access log lines dropped", found["metrics"]["log_lines_dropped"], 0)
    checks.equal("requests counted by /metrics = access log rows", found["metrics"]["requests"], counts["gateway_rows"])
    checks.equal("completion tokens in /metrics = sum of the rows", found["metrics"]["completion"], counts["all_completion"])
    checks.equal("prompt tokens in /metrics = sum of the rows", found["metrics"]["prompt"], counts["all_prompt"])
    for kind in ("duplicate_gateway_rows", "sim_rows_without_gateway_row", "exact_rows_wrong", "settled_more_than_written",
                 "partial_rows_out_of_bound", "prompt_tokens_wrong", "client_got_more_than_settled"):
        checks.equal(kind.replace("_", " "), counts.get(kind, 0), 0)
    checks.at_most("open files afterwards, above before", found["files"][1] - found["files"][0], 128)
    return checks


def main():
    args = parse()
    results = {"date": datetime.date.today().isoformat(), "command": shlex.join(sys.argv), "quick": args.quick,
               "machine": rigs.describe_machine(args),
               "protocol": {"requests": args.requests, "abort_after_ms": f"U(0, {args.abort_after_ms:g})",
                            "at_a_time": args.connections, "ttft_ms": args.ttft_ms, "inter_token_ms": 5}}
    with Rig(args) as rig:
        results["found"] = storm(rig, args)
    checks = judge(results["found"], args)
    results["checks"] = checks.rows
    found = results["found"]
    counts = found["join"]["counts"]
    tables = checks.table() + "\n## Figures\n\n" + report.table(["", ""], [
        ["aborts/s", f"{found['window']['requests_per_s']:.0f}"],
        ["aborted before the head", found["window"]["aborted_before_head"]],
        ["gateway CPU us/request", f"{found['window']['cpu_us_per_request']:.1f}"],
        ["tokens written by the backend / settled", f"{counts.get('backend_tokens_written', 0)} / {counts.get('settled_tokens', 0)}"],
        ["written and not read by the gateway", counts.get("tokens_not_read", 0)],
        ["gateway PSS MiB before / afterwards", f"{found['kib_warm'] / 1024:.1f} / {found['kib_afterwards'] / 1024:.1f}"],
        *[[key.replace("_", " "), value] for key, value in sorted(counts.items())
          if key.startswith(("exactness_", "outcome_", "sim_"))],
    ])
    if examples := found["join"]["examples"]:
        tables += "\n## First example of each violation\n\n```json\n" + json.dumps(examples, indent=1) + "\n```\n"
    report.write(results, args.results, "abort-storm", tables, f"{args.requests} aborted streams")
    sys.exit(checks.exit_code())


if __name__ == "__main__":
    main()
