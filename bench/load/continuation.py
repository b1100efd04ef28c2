#!/usr/bin/env python3
"""One or two of three backends break off in mid-stream, and their streams go on at the others.

    bench/load/continuation.py                  # 200 streams
    bench/load/continuation.py --quick          # smoke: 80

A broken backend closes, resets, falls silent or reports an error of its own after a random number of tokens. With
`retry.continue_streams` every client must get what an undisturbed one gets: every token once and in order, one id, one
role, one end, and the usage of one answer; so must the bill. Half of the streams end by themselves, half by
`max_tokens`. Exit code 0 when everything holds. Writes bench/results/DATE-continuation.json and .md.
"""
import collections
import concurrent.futures
import http.client
import json
import os
import random
import re

import checks
import report
from abort_phases import send
from checks import Checks, sum_of
from failover import POOL, set_fault
from rig import get, metrics

FAULTS = ("die@tokens={k}", "rst@tokens={k}", "stall@tokens={k}", "error-event@tokens={k}")
# How many of the three break, and after which parts of the answer; of two, so that the third attempt gets to the end
# wherever it is made.
BREAKING = {"one of three breaks": (1, 0, 1), "two of three break": (2, 1 / 3, 1 / 2)}
RETRY = "    retry: {continue_streams: true, budget_percent: 100}"
TOGETHER = 10  # streams at a time, all of them under the same faults
SERIAL = re.compile(r"[a-z]{4}(\d+) ")


def ask(port, name, tokens, cut):
    """One stream as its client sees it; `cut` by max_tokens, or ending by itself."""
    body = {"model": "sim", "messages": [{"role": "user", "content": 'Go on, "whatever" happens.'}], "stream": True,
            "stream_options": {"include_usage": True}, **({"max_tokens": tokens} if cut else {})}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {
            "content-type": "application/json", "x-request-id": name, "x-sim-inter-token-ms": "2",
            "x-sim-tokens": str(tokens + 5 if cut else tokens)})
        return read(connection.getresponse().read())
    except http.client.IncompleteRead as broken:
        return read(broken.partial)
    finally:
        connection.close()


def read(answer):
    seen = {"text": "", "ids": set(), "roles": [], "finish_reasons": [], "usages": [], "ends": []}
    for event in answer.decode().split("\n\n")[:-1]:
        data = event.removeprefix("data: ")
        chunk = json.loads(data) if data.startswith("{") else {"error": None}
        if "error" in chunk:
            seen["ends"].append(data)
            continue
        seen["ids"].add(chunk["id"])
        seen["usages"] += [chunk["usage"]] if chunk.get("usage") else []
        for choice in chunk["choices"]:
            seen["text"] += choice["delta"].get("content") or ""
            seen["roles"] += [choice["delta"]["role"]] if "role" in choice["delta"] else []
            seen["finish_reasons"] += [choice["finish_reason"]] if choice["finish_reason"] else []
    return seen


def differences(seen, whole, cut):
    """What an undisturbed stream does not have."""
    serials = [int(i) for i in SERIAL.findall(seen["text"])]
    return {"tokens missing": len(set(serials)) < len(whole["serials"]),
            "tokens repeated": len(set(serials)) < len(serials),
            "other text": seen["text"] != whole["text"],
            "not one id": len(seen["ids"]) != 1,
            "not one role": seen["roles"] != ["assistant"],
            "not its one finish reason": seen["finish_reasons"] != ["length" if cut else "stop"],
            "not one [DONE], or an error": seen["ends"] != ["[DONE]"],
            "other prompt_tokens": [u["prompt_tokens"] for u in seen["usages"]] != [whole["prompt_tokens"]],
            "other completion_tokens": [u["completion_tokens"] for u in seen["usages"]] != [len(whole["serials"])]}


def drive(rig, port, sims, whole, args):
    """Per fault how many streams there were, how many were whole, and what was wrong; what their usages add up to."""
    rng = random.Random(args.seed)
    phases = [(fault, breaking) for breaking in BREAKING for fault in FAULTS]
    found, owner = collections.defaultdict(collections.Counter), {}
    sums = collections.Counter(prompt_tokens=0, completion_tokens=0)
    cuts = [i % 2 == 1 for i in range(TOGETHER)]
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        for batch in range(args.streams // TOGETHER):
            fault, breaking = phases[batch % len(phases)]
            count, low, high = BREAKING[breaking]
            for i, sim in enumerate(sims):
                after = rng.randint(int(low * args.tokens) + 1, int(high * args.tokens) - 1)
                set_fault(sim, fault.format(k=after) if i < count else "")
            kind = f"{fault.partition('@')[0]}, {breaking}"
            names = [f"{batch}-{i}" for i in range(TOGETHER)]
            owner.update(dict.fromkeys(names, kind))
            for seen, cut in zip(pool.map(ask, *zip(*((port, n, args.tokens, c) for n, c in zip(names, cuts)))), cuts):
                wrong = differences(seen, whole, cut)
                found[kind].update({"streams": 1, "whole": not any(wrong.values()), "broken off": 0, **wrong})
                for usage in seen["usages"]:
                    sums.update({key: usage[key] for key in sums})
    for row in rows(rig):
        if row["end"].startswith("fault:"):
            found[owner[row["id"]]]["broken off"] += 1
    return found, sums


def rows(rig):
    """The logs of all backends."""
    return [json.loads(line) for log in rig.directory.glob("sim-*.jsonl") for line in log.read_text().splitlines()]


def measure(rig, args):
    cores = set(os.sched_getaffinity(0))
    sims = [rig.start_sim(cores, "--log", rig.directory / f"sim-{i}.jsonl", name=f"sim-{i}") for i in range(3)]
    urls = ", ".join(f"http://127.0.0.1:{sim.port}" for sim in sims)
    gateway = rig.start_gateway("millrace-body", sims[0].port, cores, workers=len(cores), sticky=RETRY,
                                variants="      - {name: only, backend: pool}", backends=POOL.format(urls=urls),
                                more_models="  - {id: other, variants: [{name: only, backend: pool}]}")
    # Streams that never break: the budget of retries is a part of what is in flight.
    others = [send(gateway.port, "other", {"x-sim-tokens": 100_000, "x-sim-inter-token-ms": 200}, f"other-{i}")
              for i in range(3 * TOGETHER)]
    for other in others:
        other.recv(1)
    undisturbed = ask(gateway.port, "undisturbed", args.tokens, cut=False)
    whole = {"text": undisturbed["text"], "serials": [int(i) for i in SERIAL.findall(undisturbed["text"])],
             "prompt_tokens": undisturbed["usages"][0]["prompt_tokens"]}
    by_fault, sums = drive(rig, gateway.port, sims, whole, args)
    sums.update({key: undisturbed["usages"][0][key] for key in sums})
    for other in others:
        other.close()
    gone = checks.gauges_at_zero(gateway.metrics_port)
    page = metrics(gateway.metrics_port)
    return {"undisturbed": whole, "by_fault": by_fault, "told": sums, "gauges_at_zero_after_s": gone,
            "billed": {f"{kind}_tokens": sum_of(page, "millrace_tokens_total", model="sim", kind=kind)
                       for kind in ("prompt", "completion")},
            "retries": sum_of(page, "millrace_retries_total"),
            "continued_at_backends": sum(json.loads(get(sim.port, "/sim/stats")[1])["continued"] for sim in sims),
            "continued_behind_a_wrong_text": sum(row.get("continued_from") == 0 for row in rows(rig))}


def judge(found, args):
    verdict = Checks()
    verdict.equal("tokens of the undisturbed stream are in order",
                  found["undisturbed"]["serials"] == list(range(args.tokens)), True)
    for kind, counts in found["by_fault"].items():
        verdict.at_least(f"broken off: {kind}", counts["broken off"], 1)
    total = collections.Counter()
    for counts in found["by_fault"].values():
        total.update(counts)
    verdict.equal("streams whole at their clients", total.pop("whole"), total.pop("streams"))
    broken = total.pop("broken off")
    for wrong, count in total.items():
        verdict.equal(f"streams with {wrong}", count, 0)
    verdict.equal("retries counted", found["retries"], broken)
    # A reset can take the only token with it: then there is no text to go on from, and the request is sent again.
    verdict.at_least("continued at the backends", found["continued_at_backends"], broken * 9 // 10)
    verdict.equal("continued behind a wrong text", found["continued_behind_a_wrong_text"], 0)
    for key, value in found["billed"].items():
        verdict.equal(f"{key} billed, as the clients were told", value, found["told"][key])
    verdict.add("gauges at 0 within 10 s", found["gauges_at_zero_after_s"], "yes",
                found["gauges_at_zero_after_s"] is not None)
    return verdict


def tables(found):
    columns = ("streams", "broken off", "whole")
    return "## Streams by fault\n\n" + report.table(
        ["fault", *columns], [[kind, *(counts[c] for c in columns)] for kind, counts in found["by_fault"].items()])


def main():
    args = checks.parse(__doc__, {"streams": 80}, streams=200, tokens=50, seed=1)
    checks.run(args, "continuation", f"{args.streams} streams over backends that break off", measure, judge, tables,
               streams=args.streams, tokens=args.tokens, together=TOGETHER, seed=args.seed)


if __name__ == "__main__":
    main()
