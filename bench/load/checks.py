"""What the pass/fail benchmarks share: checks with their numbers, sums over metric pages, waiting for zero."""
import re
import time

import report
from rig import metrics

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
GAUGES = ("millrace_queued_requests", "millrace_in_flight_requests", "millrace_pending_requests",
          "millrace_load_requests", "vllm_pending_requests", "millrace_buffered_bytes")


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

    def exit_code(self):
        return 0 if all(row[-1] == "pass" for row in self.rows) else 1


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
