#!/usr/bin/env python3
"""How long a client's abort takes to have its effect, in each phase of a request.

    bench/load/abort_phases.py
    bench/load/abort_phases.py --quick

Waiting in line: until the request has left it, by the access log. Before the response head, between it and the first
token, and in the middle of a stream: until the backend has seen its connection close, by its own log (one
monotonic clock). Each abort closes the client's socket after a random delay. Exit code 0 when p99 is at most 100 ms in
every phase and all gauges are 0 afterwards. Writes bench/results/DATE-abort-phases.json and .md.
"""
import datetime
import json
import os
import random
import socket
import threading
import time

import arrivals
import checks
from checks import Checks

PHASES = {"in line": {}, "before the head": {"x-sim-ttft-ms": 60_000},  # of an answer that is no stream
          "before the first token": {"x-sim-ttft-ms": 60_000},
          "in the stream": {"x-sim-tokens": 100_000, "x-sim-inter-token-ms": 20}}


def send(port, model, headers, name, stream=True):
    body = arrivals.chat("Hello", 100_000, model)
    body = body if stream else body.replace(b'"stream":true', b'"stream":false')
    fields = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nx-request-id: {name}\r\n"
                       f"content-type: application/json\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def abort_some(port, phase, model, names, closed, seed):
    rng = random.Random(seed)
    for name in names:
        connection = send(port, model, PHASES[phase], name, stream=phase != "before the head")
        time.sleep(0.03 + 0.05 * rng.random())
        closed[name] = time.monotonic()
        connection.close()


def abort_all(port, phase, model, args):
    """{request id: when its client closed}."""
    closed, threads = {}, []
    for worker in range(args.clients):
        names = [f"{phase.replace(' ', '-')}-{worker}-{i}" for i in range(args.aborts // args.clients)]
        threads.append(threading.Thread(target=abort_some, args=(port, phase, model, names, closed, worker)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return closed


def read(path, wanted, key, limit=10):
    """Rows by request id, once all wanted ones are there."""
    deadline = time.monotonic() + limit
    while True:
        rows = {}
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows[key(row)] = row
        if wanted <= rows.keys() or time.monotonic() > deadline:
            return rows
        time.sleep(0.1)


def left_at(row):
    """When the access log's line was written, on the monotonic clock; to 1 ms."""
    wall = datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp()
    return wall - time.time() + time.monotonic()


def measure(rig, args):
    cores = set(os.sched_getaffinity(0))
    log, access = rig.directory / "sim.jsonl", rig.directory / "access.jsonl"
    sim = rig.start_sim(cores, "--log", log)
    url = f"http://127.0.0.1:{sim.port}"
    gateway = rig.start_gateway(
        "millrace-body", sim.port, cores, workers=len(cores), variants="      - {name: only, backend: sim}",
        more_models="  - {id: full, variants: [{name: only, backend: full}]}", access_log=access,
        backends=f"  full: {{slots_per_endpoint: 1, endpoints: {{static: [{url}]}}}}")
    holder = send(gateway.port, "full", PHASES["in the stream"], "holder")
    holder.recv(1)
    found = {}
    for phase in PHASES:
        closed = abort_all(gateway.port, phase, "full" if phase == "in line" else "sim", args)
        if phase == "in line":
            rows, ended = read(access, closed.keys(), lambda row: row["request_id"]), left_at
        else:
            rows, ended = read(log, closed.keys(), lambda row: row["id"]), lambda row: row["ended"]
        taken = [ended(rows[name]) - at for name, at in closed.items() if name in rows]
        found[phase] = {"aborts": len(closed), "seen": len(taken), **arrivals.milliseconds(taken),
                        "max": round(max(taken) * 1000, 1)}
    holder.close()
    found["gauges_at_zero_after_s"] = checks.gauges_at_zero(gateway.metrics_port)
    return found


def judge(found, args):
    verdict = Checks()
    for phase in PHASES:
        verdict.equal(f"aborts seen, {phase}", found[phase]["seen"], found[phase]["aborts"])
        verdict.at_most(f"p99 ms, {phase}", found[phase]["p99"], 100)
    verdict.add("gauges at 0 within 10 s", found["gauges_at_zero_after_s"], "yes",
                found["gauges_at_zero_after_s"] is not None)
    return verdict


def main():
    args = checks.parse(__doc__, {"aborts": 80}, aborts=2_000, clients=8)
    checks.run(args, "abort-phases", f"{args.aborts} aborts in each phase", measure, judge,
               lambda found: "```json\n" + json.dumps(found, indent=1) + "\n```\n", aborts=args.aborts)


if __name__ == "__main__":
    main()
