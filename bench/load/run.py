#!/usr/bin/env python3
"""The interleaved comparison of millrace with nginx and HAProxy: one command, one table.

    bench/load/run.py                 # everything, about 20 minutes, on a machine that does nothing else
    bench/load/run.py --quick         # smoke: 2 repetitions, 1 s windows
    bench/load/run.py --only 1k-c64,sse-500

The gateway under test has core 0 for itself; the simulated backend and the load generator share core 1. Variants take
turns (A B C A B C ...), each with a fresh process, a warm-up and a window. The number that counts is the CPU time of
the gateway's whole process tree per request (/proc/PID/task/*/schedstat); a window with a single failure is refused and
repeated, at most twice. Writes bench/results/DATE-load.json and .md.
"""
import argparse
import contextlib
import datetime
import json
import shlex
import socket
import ssl
import sys
import time

import report
import rig as rigs
from rig import Rig, WindowRefused, get, pss_kib, request_arguments

GATEWAY_CORE, OTHER_CORE = {0}, {1}
ALL = ["millrace-body", "millrace-header", "nginx-header", "haproxy-header", "haproxy-json"]
LARGE = ["millrace-body", "millrace-header", "nginx-header", "haproxy-header"]

ROWS = {
    "1k-c8": {"kind": "closed", "body": 1024, "connections": 8, "variants": ALL},
    "1k-c64": {"kind": "closed", "body": 1024, "connections": 64, "variants": ["direct", *ALL]},
    "16k-c8": {"kind": "closed", "body": 16 * 1024, "connections": 8, "variants": ALL},
    "220k-c8": {"kind": "closed", "body": 220 * 1024, "connections": 8, "variants": LARGE},
    "1m-c4": {"kind": "closed", "body": 1024 * 1024, "connections": 4, "variants": LARGE},
    "many-models": {"kind": "closed", "body": 1024, "connections": 64,
                   "variants": ["millrace-body", "millrace-many-models"]},
    "latency-2k": {"kind": "open", "body": 1024, "connections": 64, "rate": 2000,
                   "variants": ["direct", *ALL]},
    "sse-500": {"kind": "streams", "body": 1024, "streams": 500,
                "variants": ["direct", "millrace-body", "nginx-header", "haproxy-header"]},
    "memory": {"kind": "memory", "variants": ["millrace-header", "nginx-header", "haproxy-header"]},
    "metrics-page": {"kind": "page", "variants": ["millrace-many-models"]},
}


def arguments_of(row, args):
    common = ["--body-bytes", row["body"], "--warmup", args.warmup, "--duration", args.duration]
    if row["kind"] == "closed":
        return [*common, "--connections", row["connections"]]
    if row["kind"] == "open":
        return [*common, "--connections", row["connections"], "--rate", row["rate"]]
    # A stream lasts 1 s, so every stream of the warm-up has ended and begun again in the window.
    return [*common, "--streams", row["streams"], "--tokens", 50, "--inter-token-ms", 20,
            "--sources", 4]


def window(rig, sim, variant, row, args):
    arguments = arguments_of(row, args)
    if variant == "direct":
        return rig.load(sim.port, *arguments, cores=OTHER_CORE)
    gateway = rig.start_gateway(variant, sim.port, GATEWAY_CORE)
    try:
        return rig.load(gateway.port, *arguments, *request_arguments(variant), cores=OTHER_CORE,
                        watch=gateway)
    finally:
        rig.stop(gateway)


def measured_rows(rig, sim, names, args, results):
    for name in names:
        row = ROWS[name]
        windows = {variant: [] for variant in row["variants"]}
        refused = {}
        for repetition in range(args.repetitions):
            for variant in row["variants"]:
                report_of = None
                for _ in range(3):
                    try:
                        report_of = window(rig, sim, variant, row, args)
                        break
                    except WindowRefused as why:
                        refused.setdefault(variant, []).append(str(why))
                windows[variant].append(report_of)
                progress(f"{name} {repetition + 1}/{args.repetitions} {variant}: "
                         + report.one_line(report_of))
        results["rows"][name] = {"settings": {k: v for k, v in row.items() if k != "variants"},
                                 "windows": windows, "refused": refused}


def exchange(stream):
    """One keep-alive request on a socket; reads exactly the response."""
    body = b'{"messages":[{"role":"user","content":"hello"}],"model":"sim"}'
    stream.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-model-id: sim\r\n"
                   b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += stream.recv(65536) or _closed()
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise WindowRefused(head.decode(errors="replace"))
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:"))
    while len(rest) < length:
        rest += stream.recv(65536) or _closed()


def _closed():
    raise WindowRefused("a TLS connection was closed")


def tls_connections(port, count):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    streams = []
    for _ in range(count):
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))
        exchange(stream)
        streams.append(stream)
    return streams


def memory_of(rig, sim, variant, args):
    """PSS of the whole tree in KiB: cold, then what connections and streams add to a warmed process."""
    found = {}
    more = ["--sources", 8, *request_arguments(variant)]
    gateway = rig.start_gateway(variant, sim.port, GATEWAY_CORE)
    time.sleep(1)
    found["cold"] = pss_kib(gateway.pid)
    # Pages of code and pools that any traffic touches are not a connection's.
    rig.load(gateway.port, "--requests", 2000, "--connections", 16, *more, cores=OTHER_CORE)
    rig.load(gateway.port, "--streams", 16, "--once", "--tokens", 10, *more, cores=OTHER_CORE)
    time.sleep(1)
    found["warm"] = pss_kib(gateway.pid)

    load = rig.start_load(gateway.port, "--idle", args.idle, *more, cores=OTHER_CORE)
    rig.wait_ready(load)
    time.sleep(1)
    found["idle"] = pss_kib(gateway.pid)
    load.terminate()
    if rig.finish_load(load)["closed_by_peer"]:
        raise WindowRefused("idle connections were closed")
    time.sleep(1)
    found["before_streams"] = pss_kib(gateway.pid)

    load = rig.start_load(gateway.port, "--streams", args.live, "--once", "--tokens", 40,
                          "--inter-token-ms", 200, "--warmup", 2, *more, cores=OTHER_CORE)
    rig.wait_ready(load)
    time.sleep(1)
    found["live"] = pss_kib(gateway.pid)
    rig.finish_load(load)
    time.sleep(args.settle)
    found["afterwards"] = pss_kib(gateway.pid)
    rig.stop(gateway)

    gateway = rig.start_gateway(variant, sim.port, GATEWAY_CORE, tls=True)
    with contextlib.ExitStack() as stack:
        for stream in tls_connections(gateway.port, 16):
            stream.close()
        time.sleep(1)
        found["tls_warm"] = pss_kib(gateway.pid)
        for stream in tls_connections(gateway.port, args.tls):
            stack.callback(stream.close)
        time.sleep(1)
        found["tls_idle"] = pss_kib(gateway.pid)
    rig.stop(gateway)
    return found


def memory_row(rig, sim, args, results):
    row = {"settings": {"idle": args.idle, "live": args.live, "tls": args.tls, "settle": args.settle},
           "kib": {}, "refused": {}}
    for variant in ROWS["memory"]["variants"]:
        for _ in range(2):
            try:
                row["kib"][variant] = memory_of(rig, sim, variant, args)
                break
            except WindowRefused as why:
                row["refused"].setdefault(variant, []).append(str(why))
        progress(f"memory {variant}: {row['kib'].get(variant)}")
    results["rows"]["memory"] = row


def page_row(rig, sim, args, results):
    """How long /metrics takes with many models, idle and under load."""
    gateway = rig.start_gateway("millrace-many-models", sim.port, GATEWAY_CORE)
    page = get(gateway.metrics_port, "/metrics", 60)[1]
    series = sum(1 for line in page.splitlines() if line and not line.startswith("#"))
    times = []
    for _ in range(args.repetitions):
        start = time.monotonic()
        get(gateway.metrics_port, "/metrics", 60)
        times.append((time.monotonic() - start) * 1000)
    rig.stop(gateway)
    results["rows"]["metrics-page"] = {"series": series, "bytes": len(page), "ms": times}
    progress(f"metrics-page: {series} series, {min(times):.1f} ms")


def progress(text):
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    rigs.add_binaries(parser)
    parser.add_argument("--quick", action="store_true", help="smoke: 2 repetitions, 1 s windows, small memory rows")
    parser.add_argument("--only", metavar="ROWS", default="", help="of " + ", ".join(ROWS))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--duration", type=float, default=3)
    parser.add_argument("--warmup", type=float, default=1)
    args = parser.parse_args()
    args.idle, args.live, args.tls, args.settle = 2000, 1000, 500, 60
    if args.quick:
        args.repetitions, args.duration, args.settle = 2, 1, 5
    args.rows = [name for name in args.only.split(",") if name] or list(ROWS)
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return args


def main():
    args = parse()
    results = {"date": datetime.date.today().isoformat(), "command": shlex.join(sys.argv),
               "quick": args.quick, "machine": rigs.describe_machine(args), "rows": {},
               "protocol": {"repetitions": args.repetitions, "warmup_s": args.warmup,
                            "window_s": args.duration}}
    with Rig(args) as rig:
        sim = rig.start_sim(OTHER_CORE, "--tokens", 16)
        measured_rows(rig, sim, [n for n in args.rows if ROWS[n]["kind"] in ("closed", "open", "streams")],
                      args, results)
        if "memory" in args.rows:
            memory_row(rig, sim, args, results)
        if "metrics-page" in args.rows:
            page_row(rig, sim, args, results)
    report.write(results, args.results, "load", report.load_tables(results))


if __name__ == "__main__":
    main()
