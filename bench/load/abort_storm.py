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
import bisect
import collections
import json
import os
import time

import checks
import report
from checks import Checks, gauges_at_zero, sum_of
from rig import get, metrics, open_files, pss_kib

PREFIX = "storm"


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
    verdict = Checks()
    window, counts = found["window"], found["join"]["counts"]
    verdict.equal("client failures", window["errors"], 0)
    verdict.equal("requests that ended at the client", window["requests"], args.requests)
    verdict.at_least("of them aborted", window["aborted"], int(args.requests * 0.99))
    verdict.at_most("seconds until all gauges were 0", found["gauges_zero_after_s"], 1)
    verdict.equal("live requests left in the simulator", found["sim_live"], 0)
    verdict.equal("access log lines dropped", found["metrics"]["log_lines_dropped"], 0)
    for what, metric, row in (("requests counted by /metrics = access log rows", "requests", "gateway_rows"),
                              ("completion tokens in /metrics = sum of the rows", "completion", "all_completion"),
                              ("prompt tokens in /metrics = sum of the rows", "prompt", "all_prompt")):
        verdict.equal(what, found["metrics"][metric], counts[row])
    for kind in ("duplicate_gateway_rows", "sim_rows_without_gateway_row", "exact_rows_wrong",
                 "settled_more_than_written", "partial_rows_out_of_bound", "prompt_tokens_wrong",
                 "client_got_more_than_settled"):
        verdict.equal(kind.replace("_", " "), counts.get(kind, 0), 0)
    verdict.at_most("open files afterwards, above before", found["files"][1] - found["files"][0], 128)
    return verdict


def tables(found):
    counts, window = found["join"]["counts"], found["window"]
    text = "## Figures\n\n" + report.table(["", ""], [
        ["aborts/s", f"{window['requests_per_s']:.0f}"],
        ["aborted before the head", window["aborted_before_head"]],
        ["gateway CPU us/request", f"{window['cpu_us_per_request']:.1f}"],
        ["tokens written by the backend / settled",
         f"{counts.get('backend_tokens_written', 0)} / {counts.get('settled_tokens', 0)}"],
        ["written and not read by the gateway", counts.get("tokens_not_read", 0)],
        ["gateway PSS MiB before / afterwards",
         f"{found['kib_warm'] / 1024:.1f} / {found['kib_afterwards'] / 1024:.1f}"],
        *[[key.replace("_", " "), value] for key, value in sorted(counts.items())
          if key.startswith(("exactness_", "outcome_", "sim_"))],
    ])
    if examples := found["join"]["examples"]:
        text += "\n## First example of each violation\n\n```json\n" + json.dumps(examples, indent=1) + "\n```\n"
    return text


def main():
    # A simulated first token after 30 ms, so that some leave before the head and some before the first token.
    args = checks.parse(__doc__, {"requests": 5_000}, requests=100_000, abort_after_ms=200.0, connections=200,
                        ttft_ms=30.0)
    checks.run(args, "abort-storm", f"{args.requests} aborted streams", storm, judge, tables,
               requests=args.requests, abort_after_ms=f"U(0, {args.abort_after_ms:g})", at_a_time=args.connections,
               ttft_ms=args.ttft_ms, inter_token_ms=5)


if __name__ == "__main__":
    main()
