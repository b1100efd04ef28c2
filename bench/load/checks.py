"""What the pass/fail benchmarks share: command line, checks with their numbers, sums over pages, waiting for zero."""
import argparse
import datetime
import re
import shlex
import sys
import time

import report
import rig
from rig import metrics

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
GAUGES = ("millrace_queued_requests", "millrace_in_flight_requests", "millrace_pending_requests",
          "millrace_load_requests", "vllm_pending_requests", "millrace_buffered_bytes")


def parse(doc, quick, **defaults):
    """The common options, and one option per default; --quick replaces the values in `quick`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    rig.add_binaries(parser)
    parser.add_argument("--quick", action="store_true", help="smoke: " + str(quick))
    for name, value in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value, help=f"default {value}")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(quick)
    return args


def run(args, name, title, measure, judge, tables, **protocol):
    """measure -> judge -> files; ends the process with 1 when a check failed."""
    results = {"date": datetime.date.today().isoformat(), "command": shlex.join(sys.argv), "quick": args.quick,
               "machine": rig.describe_machine(args), "protocol": protocol}
    with rig.Rig(args) as owner:
        found = results["found"] = measure(owner, args)
    checks = judge(found, args)
    results["checks"] = checks.rows
    report.write(results, args.results, name, checks.table() + "\n" + tables(found), title)
    sys.exit(0 if all(row[-1] == "pass" for row in checks.rows) else 1)


class Checks:
    def __init__(self):
        self.rows = []

    def add(self, what, found, wanted, passed):
        self.rows.append([what, found, wanted, "pass" if passed else "FAIL"])

    def equal(self, what, found, wanted):
        self.add(what, found, f"= {wanted}", found == wanted)

    def at_most(self, what, found, limit):
        shown = f"{found:.2f}" if isinstance(found, float) else found
        self.add(what, shown, f"<= {limit}", found is not None and found <= limit)

    def at_least(self, what, found, limit):
        self.add(what, found, f">= {limit}", found >= limit)

    def table(self):
        return "## Checks\n\n" + report.table(["check", "found", "wanted", ""], self.rows)


def sum_of(page, name, **labels):
    """Sum over all series of a name with these labels."""
    total = 0
    for series, value in page.items():
        base, _, rest = series.partition("{")
        if base == name:
            have = dict(_LABEL.findall(rest))
            if all(have.get(k) == v for k, v in labels.items()):
                total += value
    return int(total) if total == int(total) else total


def gauges_at_zero(port, limit=10):
    """Seconds until every gauge of live work is 0, or None."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < limit:
        page = metrics(port)
        if all(sum_of(page, gauge) == 0 for gauge in GAUGES):
            return round(passed, 3)
        time.sleep(0.02)
    return None
