#!/usr/bin/env python3
"""Prefix affinity against round robin, least pending and session hash, on recorded conversations.

    bench/load/affinity.py --trace conversation_trace.jsonl.xz     # Mooncake's format
    bench/load/affinity.py --trace … --quick

Four simulated engines with bounded KV caches; prompts are made from the trace's `hash_ids`, so that what two prompts
share there they share byte by byte here. Time runs `--speed` times faster and the engines with it. Every policy gets
fresh engines, a fresh gateway and the same arrivals; the first fifth warms the caches and is not counted. The oracle is
one cache as large as all four: no placement can hit more. Writes bench/results/DATE-affinity.json and .md.
"""
import collections
import json
import lzma
import os
import pathlib
import sys

import arrivals
import checks
from checks import Checks

BLOCK_TOKENS, BYTES_PER_TOKEN = 512, 4
ENGINES = 4
WARM = 0.2

PICKERS = {
    "round robin": "",
    "least pending": "picker: {by: [session], session: {header: x-none}}",
    "session hash": "picker: {by: [session], session: {header: x-session}, guard_percent: 100000}",
    "prefix": "picker: {by: [prefix, load]}",
    "prefix, no guard": "picker: {by: [prefix, load], guard_percent: 100000}",
}


def read_trace(path, count):
    with lzma.open(path, "rt") if path.suffix == ".xz" else open(path, encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(count), lines)]


def prompt_of(row):
    text = "".join(f"{number:08x}" * (BLOCK_TOKENS * BYTES_PER_TOKEN // 8) for number in row["hash_ids"])
    return text[:row["input_length"] * BYTES_PER_TOKEN]


def sessions_of(rows):
    """Conversation of each row: that of the row whose blocks it continues, but for the last one, which grows."""
    owners, sessions = {}, []
    for number, row in enumerate(rows):
        ids = tuple(row["hash_ids"])
        session = next((owners[ids[:length]] for length in range(len(ids), 1, -1) if ids[:length] in owners), number)
        sessions.append(session)
        for length in range(2, len(ids) + 1):
            owners.setdefault(ids[:length], session)
    return sessions


def oracle_hit_rate(rows, kv_tokens):
    """Tokens found in one LRU cache of all engines' size, of all tokens, after the warm-up."""
    cache, found, asked = collections.OrderedDict(), 0, 0
    room = kv_tokens * ENGINES // BLOCK_TOKENS
    for number, row in enumerate(rows):
        hits = 0
        while hits < len(row["hash_ids"]) and row["hash_ids"][hits] in cache:
            hits += 1
        for block in reversed(row["hash_ids"]):
            cache[block] = True
            cache.move_to_end(block)
            if len(cache) > room:
                cache.popitem(last=False)
        if number >= WARM * len(rows):
            found += min(hits * BLOCK_TOKENS, row["input_length"])
            asked += row["input_length"]
    return found / asked


def requests_of(rows, speed):
    return [arrivals.Request(row["timestamp"] / 1000 / speed, arrivals.chat(prompt_of(row), row["output_length"]),
                             {"x-session": session, "x-sim-tokens": row["output_length"]})
            for row, session in zip(rows, sessions_of(rows))]


def configuration(policy, urls):
    """Variants, extra lines of the model, and backends."""
    settings = "slots_per_endpoint: 100000"
    if policy == "round robin":  # equal shares by ticket, one endpoint each
        return ("\n".join(f"      - {{name: v{i}, backend: pool-{i}}}" for i in range(ENGINES)),
                "\n".join(f"  pool-{i}: {{{settings}, endpoints: {{static: [{url}]}}}}" for i, url in enumerate(urls)))
    return ("      - {name: only, backend: pool}",
            f"  pool: {{{settings}, metrics: {{interval: 1s}}, prefix_cache_tokens: KV, endpoints: {{static: "
            f"[{', '.join(urls)}]}}}}")


def measure_policy(rig, args, policy, requests):
    cores = set(os.sched_getaffinity(0))
    logs = [rig.directory / f"sim-{i}.jsonl" for i in range(ENGINES)]
    for log in logs:
        log.unlink(missing_ok=True)
    sims = [rig.start_sim(cores, "--log", log, "--inter-token-ms", 10 / args.speed, "--prefill-tokens-per-second",
                          args.prefill * args.speed, "--kv-tokens", args.kv_tokens, "--max-num-seqs", 128,
                          name=f"sim-{i}") for i, log in enumerate(logs)]
    variants, backends = configuration(policy, [f"http://127.0.0.1:{sim.port}" for sim in sims])
    gateway = rig.start_gateway("millrace-body", sims[0].port, cores, workers=1, variants=variants,
                                sticky="    " + PICKERS[policy],
                                backends=backends.replace("KV", str(args.kv_tokens)))
    outcomes = arrivals.run(gateway.port, requests)
    for process in [gateway, *sims]:
        rig.stop(process)
    warm = requests[int(WARM * len(requests))].at
    rows = [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]
    first = min(row["started"] for log in rows for row in log)
    counted = [[row for row in log if row["started"] - first >= warm] for log in rows]
    busy = [sum(row["ended"] - row["started"] for row in log) for log in counted]
    prompt = sum(row["prompt_tokens"] for log in counted for row in log)
    later = [outcome for outcome in outcomes if outcome.request.at >= warm]
    return {"hit_rate": round(sum(row["cached_tokens"] for log in counted for row in log) / prompt, 4),
            "ttft_ms": arrivals.milliseconds([outcome.first for outcome in later if outcome.first is not None]),
            "max_to_mean_load": round(max(busy) / (sum(busy) / ENGINES), 3),
            "requests_per_engine": [len(log) for log in counted],
            "failed": sum(not outcome.complete for outcome in outcomes)}


def measure(rig, args):
    rows = read_trace(args.trace, args.requests)
    requests = requests_of(rows, args.speed)
    found = {"oracle_hit_rate": round(oracle_hit_rate(rows, args.kv_tokens), 4),
             "offered_prompt_tokens_per_s": round(sum(row["input_length"] for row in rows) / requests[-1].at)}
    for policy in PICKERS:
        found[policy] = measure_policy(rig, args, policy, requests)
        print(policy, json.dumps(found[policy]), flush=True)
    return found


def judge(found, args):
    verdict = Checks()
    prefix, least = found["prefix"], found["least pending"]
    for policy in PICKERS:
        verdict.equal(f"failed ({policy})", found[policy]["failed"], 0)
    verdict.at_least("hit rate / oracle's", round(prefix["hit_rate"] / found["oracle_hit_rate"], 3), 0.9)
    verdict.at_most("p99 TTFT / least pending's", round(prefix["ttft_ms"]["p99"] / least["ttft_ms"]["p99"], 3), 0.7)
    verdict.at_most("max / mean load", prefix["max_to_mean_load"], 1.3)
    return verdict


def table(found):
    lines = [f"Oracle: {found['oracle_hit_rate']:.1%} of the prompt tokens.", "",
             "| policy | hit rate | TTFT p50 / p90 / p99 ms | max / mean load | requests per engine |",
             "|---|--:|--:|--:|---|"]
    for policy in PICKERS:
        row = found[policy]
        ttft = " / ".join(str(value) for value in row["ttft_ms"].values())
        lines.append(f"| {policy} | {row['hit_rate']:.1%} | {ttft} | {row['max_to_mean_load']} | "
                     f"{row['requests_per_engine']} |")
    return "\n".join(lines) + "\n"


def main():
    args = checks.parse(__doc__, {"requests": 300}, requests=1_000, speed=6, prefill=11_000, kv_tokens=3_000_000,
                        trace=pathlib.Path("conversation_trace.jsonl.xz"))
    if not args.trace.exists():
        sys.exit(f"skipped: {args.trace} is not there; name the trace with --trace")
    checks.run(args, "affinity", f"{args.requests} requests of recorded conversations, {args.speed} times faster",
               measure, judge, table, requests=args.requests, speed=args.speed, prefill=args.prefill,
               kv_tokens=args.kv_tokens)


if __name__ == "__main__":
    main()
