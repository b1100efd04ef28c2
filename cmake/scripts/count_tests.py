#!/usr/bin/env python3
"""Sums individual test cases over all suites and prints `N passed, N failed, N skipped` as the last line.

A ctest entry that left a GoogleTest report counts by the cases in it; one without a report (a fuzz corpus, a crash, a
time-out) counts as one case. A report that says all is well does not excuse an entry that ctest saw fail. The SDK
drivers print `CASE passed|failed|skipped NAME [reason]` lines. A skip is never a pass.
"""
import json
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

results = Path(sys.argv[1])
count = {"passed": 0, "failed": 0, "skipped": 0}
failures, skips = [], []


def note(outcome, name, reason=""):
    count[outcome] += 1
    line = f"{name}: {reason}" if reason else name
    if outcome == "failed":
        failures.append(line)
    elif outcome == "skipped":
        skips.append(line)


def read_gtest(report, entry):
    """Counts one GoogleTest report; returns whether any of its cases failed."""
    failed = False
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            name = f"{entry}: {suite['name']}.{case['name']}"
            if case.get("failures"):
                failed = True
                note("failed", name, case["failures"][0]["failure"].strip().splitlines()[0])
            elif case["result"] == "SKIPPED":
                reason = (case.get("skipped") or [{}])[0].get("message", "").strip().splitlines()
                note("skipped", name, reason[-1] if reason else "")
            elif case["status"] == "RUN":
                note("passed", name)
            else:
                note("skipped", name, "disabled")
    return failed


for junit in sorted(results.glob("*.xml")):
    for case in xml.parse(junit).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        report = results / "gtest" / f"{name}.json"
        if report.exists():
            known = read_gtest(json.loads(report.read_text()), name)
            if status == "fail" and not known:
                note("failed", name, "the test program failed outside its cases")
        elif status == "run":
            note("passed", name)
        elif status in ("notrun", "disabled"):
            note("failed", name, "was not run: is it built?")
        else:
            note("failed", name, "ended without a report: crash or time-out")

for log in sorted(results.glob("*.log")):
    for line in log.read_text(errors="replace").splitlines():
        word = line.split(" ", 3)
        if len(word) >= 3 and word[0] == "CASE" and word[1] in count:
            note(word[1], word[2], word[3] if len(word) > 3 else "")

for title, lines in (("skipped", skips), ("failed", failures)):
    for line in lines:
        print(f"{title}: {line}")
if not any(count.values()):
    count["failed"] = 1
    print("failed: no test ran")
print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
sys.exit(1 if count["failed"] else 0)
