"""Medians, spreads, ratios and targets; Markdown and JSON. Pure except write()."""
import json
import statistics

CLOSED = ("1k-c8", "1k-c64", "16k-c8", "220k-c8", "1m-c4", "many-models")


def spread(values):
    """(median, first quartile, third quartile) of what is there, or None."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def show(triple, digits=1):
    if triple is None:
        return "-"
    middle, low, high = (f"{v:.{digits}f}" for v in triple)
    return f"{middle} ({low}-{high})"


def column(row, variant, pick):
    """One value per repetition; None where the window was refused."""
    return [None if w is None else pick(w) for w in row["windows"].get(variant, [])]


def paired(row, over, under, pick, combine):
    """Of windows of the same repetition, which ran next to each other."""
    return [None if a is None or b is None else combine(a, b)
            for a, b in zip(column(row, over, pick), column(row, under, pick))]


def ratio(row, over, under, pick):
    return spread(paired(row, over, under, pick, lambda a, b: a / b))


def difference(row, over, under, pick):
    return spread(paired(row, over, under, pick, lambda a, b: a - b))


def cpu(window):
    return window["cpu_us_per_request"]


def event_cpu(window):
    return window["cpu_us_per_event"]


def one_line(window):
    if window is None:
        return "refused"
    parts = [f"{window['requests_per_s']:.0f}/s"]
    for name, unit in (("cpu_us_per_request", "us CPU/request"), ("cpu_us_per_event", "us CPU/event")):
        if name in window:
            parts.append(f"{window[name]:.2f} {unit}")
    if "latency_us" in window:
        parts.append(f"p50 {window['latency_us']['p50']:.0f} us")
    return ", ".join(parts)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---|" + "--:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


def closed_table(rows):
    out = []
    for name in CLOSED:
        if name not in rows:
            continue
        row = rows[name]
        for variant in row["windows"]:
            own = variant.startswith("millrace") and name != "many-models"
            has_cpu = variant != "direct"
            out.append([
                name, variant,
                show(spread(column(row, variant, cpu)), 2) if has_cpu else "-",
                show(spread(column(row, variant, lambda w: w["requests_per_s"])), 0),
                show(spread(column(row, variant, lambda w: w["utilisation"])), 2) if has_cpu else "-",
                show(ratio(row, variant, "nginx-header", cpu), 2) if own else "-",
                show(ratio(row, variant, "haproxy-header", cpu), 2) if own else "-",
                len(row["refused"].get(variant, []))])
    return ("## CPU per request\n\nMedian (first to third quartile) over repetitions; ratios are of windows of the same "
            "repetition.\n\n"
            + table(["row", "variant", "CPU us/request", "requests/s", "utilisation of the core",
                     "/ nginx", "/ haproxy", "refused windows"], out)) if out else ""


def latency_table(row):
    def of(percentile):
        return lambda w: w["latency_us"][percentile]
    out = []
    for variant in row["windows"]:
        out.append([variant, *(show(spread(column(row, variant, of(p))), 0) for p in ("p50", "p99", "p99.9")),
                    *(("-", "-") if variant == "direct" else
                      (show(difference(row, variant, "direct", of(p)), 0) for p in ("p50", "p99"))),
                    len(row["refused"].get(variant, []))])
    return (f"## Latency, open loop at {row['settings']['rate']} requests/s\n\nMicroseconds from the scheduled send. "
            "p99.9 means something only on a quiet machine.\n\n"
            + table(["variant", "p50", "p99", "p99.9", "added p50", "added p99", "refused windows"], out))


def stream_table(row):
    def of(group, percentile):
        return lambda w: w[group][percentile]
    out = []
    for variant in row["windows"]:
        direct = variant == "direct"
        out.append([
            variant, "-" if direct else show(spread(column(row, variant, event_cpu)), 2),
            *("-" if direct else show(difference(row, variant, "direct", of("first_token_us", p)), 0)
              for p in ("p50", "p99")),
            "-" if direct else show(difference(row, variant, "direct", of("gap_us", "p99")), 0),
            *(sum(v for v in column(row, variant, lambda w: w[n]) if v is not None)
              for n in ("tokens_lost", "merged_in_chunk", "merged_in_read")),
            "-" if direct or not variant.startswith("millrace") else
            show(ratio(row, variant, "nginx-header", event_cpu), 2),
            len(row["refused"].get(variant, []))])
    return (f"## Streams: {row['settings']['streams']} at a time, an event every 20 ms, 50 tokens each\n\nMicroseconds; "
            "merged = tokens that shared an HTTP chunk, or one read of the client, with an earlier one.\n\n"
            + table(["variant", "CPU us/event", "added first token p50", "p99", "added gap p99", "lost",
                     "merged in chunk", "merged in read", "/ nginx", "refused windows"], out))


def per(kib, count, low, high):
    return None if kib is None else (kib[high] - kib[low]) / count


def memory_table(row):
    s = row["settings"]
    out = []
    for variant, kib in row["kib"].items():
        out.append([variant, f"{kib['cold'] / 1024:.1f}", f"{kib['warm'] / 1024:.1f}",
                    f"{per(kib, s['idle'], 'warm', 'idle'):.2f}",
                    f"{per(kib, s['live'], 'before_streams', 'live'):.2f}",
                    f"{per(kib, s['tls'], 'tls_warm', 'tls_idle'):.2f}", f"{kib['afterwards'] / 1024:.1f}"])
    return (f"## Memory\n\nPSS of the process tree (user space only). {s['idle']} idle connections, {s['live']} live "
            f"streams, {s['tls']} idle TLS connections; the last column {s['settle']} s after all of them left.\n\n"
            + table(["gateway", "cold MiB", "warm MiB", "KiB/idle connection", "KiB/live stream",
                     "KiB/idle TLS connection", "afterwards MiB"], out))


def page_table(row):
    return ("## /metrics with 9 800 models configured\n\n"
            + table(["series", "KiB", "ms"], [[row["series"], row["bytes"] // 1024, show(spread(row["ms"]), 1)]]))


def ratio_target(rows, name, under, limit, pick=cpu, over="millrace-body"):
    if name not in rows:
        return None
    found = ratio(rows[name], over, under, pick)
    return found and (f"{found[0]:.2f} x", found[0] <= limit)


def added_target(rows, percentile, allowance):
    if "latency-2k" not in rows:
        return None
    def pick(w):
        return w["latency_us"][percentile]
    found = difference(rows["latency-2k"], "millrace-body", "nginx-header", pick)
    return found and (f"nginx {found[0]:+.0f} us", found[0] <= allowance)


def rate_target(rows):
    if "1k-c64" not in rows:
        return None
    rate = spread(column(rows["1k-c64"], "millrace-body", lambda w: w["requests_per_s"]))
    cost = spread(column(rows["1k-c64"], "millrace-body", cpu))
    busy = spread(column(rows["1k-c64"], "millrace-body", lambda w: w["utilisation"]))
    if rate is None:
        return None
    if busy[0] >= 0.95:
        return f"{rate[0]:.0f} measured", rate[0] >= 60_000
    return f"{1e6 / cost[0]:.0f} derived (core {busy[0]:.0%} busy)", 1e6 / cost[0] >= 60_000


def stream_target(rows, percentile, limit):
    if "sse-500" not in rows:
        return None
    found = difference(rows["sse-500"], "millrace-body", "direct", lambda w: w["first_token_us"][percentile])
    return found and (f"{found[0]:.0f} us", found[0] <= limit)


def lost_target(rows):
    if "sse-500" not in rows:
        return None
    lost = [v for v in column(rows["sse-500"], "millrace-body", lambda w: w["tokens_lost"]) if v is not None]
    return (f"{sum(lost)} lost", sum(lost) == 0) if lost else None


def memory_target(rows, low, high, count, limit):
    kib = rows.get("memory", {}).get("kib", {}).get("millrace-header")
    if kib is None:
        return None
    if low is None:
        return f"{kib[high] / 1024:.1f} MiB", kib[high] / 1024 <= limit
    value = per(kib, rows["memory"]["settings"][count], low, high)
    return f"{value:.2f} KiB", value <= limit


def page_target(rows):
    if "metrics-page" not in rows:
        return None
    row = rows["metrics-page"]
    scaled = spread(row["ms"])[0] * 10_000 / max(1, row["series"])
    return f"{scaled:.1f} ms per 10 000 series", scaled <= 10


def targets(rows):
    return [
        ("CPU, 1 KB, c=8, <= 0.90 x nginx", ratio_target(rows, "1k-c8", "nginx-header", 0.90)),
        ("CPU, 1 KB, c=8, <= 0.95 x HAProxy", ratio_target(rows, "1k-c8", "haproxy-header", 0.95)),
        ("CPU, 1 KB, c=64, <= 0.90 x nginx", ratio_target(rows, "1k-c64", "nginx-header", 0.90)),
        ("CPU, 1 KB, c=64, <= 0.95 x HAProxy", ratio_target(rows, "1k-c64", "haproxy-header", 0.95)),
        ("CPU, 16 KB, <= 1.0 x nginx", ratio_target(rows, "16k-c8", "nginx-header", 1.0)),
        ("CPU, 220 KB, <= 1.3 x nginx", ratio_target(rows, "220k-c8", "nginx-header", 1.3)),
        ("requests/s on one core >= 60 000", rate_target(rows)),
        ("added latency p50 <= nginx + 10 us", added_target(rows, "p50", 10)),
        ("added latency p99 <= nginx + 50 us", added_target(rows, "p99", 50)),
        ("added time to first token p50 <= 100 us", stream_target(rows, "p50", 100)),
        ("added time to first token p99 <= 300 us", stream_target(rows, "p99", 300)),
        ("CPU per event <= 1.0 x nginx", ratio_target(rows, "sse-500", "nginx-header", 1.0, event_cpu)),
        ("events lost: 0", lost_target(rows)),
        ("idle process <= 20 MiB", memory_target(rows, None, "cold", None, 20)),
        ("idle connection <= 2 KiB", memory_target(rows, "warm", "idle", "idle", 2)),
        ("live stream <= 8 KiB", memory_target(rows, "before_streams", "live", "live", 8)),
        ("idle TLS connection <= 20 KiB", memory_target(rows, "tls_warm", "tls_idle", "tls", 20)),
        ("9 800 models, 1 000 endpoints: CPU within 5 %",
         ratio_target(rows, "many-models", "millrace-body", 1.05, over="millrace-many-models")),
        ("/metrics: <= 10 ms with 10 000 series", page_target(rows)),
    ]


def target_table(rows):
    out = [[what, found[0], "met" if found[1] else "missed"] if found else [what, "-", "not measured"]
           for what, found in targets(rows)]
    return "## Targets\n\n" + table(["target", "measured", ""], out)


def load_tables(results):
    rows = results["rows"]
    parts = [target_table(rows), closed_table(rows)]
    for name, render in (("latency-2k", latency_table), ("sse-500", stream_table),
                         ("memory", memory_table), ("metrics-page", page_table)):
        if name in rows:
            parts.append(render(rows[name]))
    refused = {f"{name}, {variant}": why for name, row in rows.items()
               for variant, why in row.get("refused", {}).items()}
    if refused:
        parts.append("## Refused windows\n\n" + "\n".join(f"- {w}: {'; '.join(y)}" for w, y in refused.items()) + "\n")
    return "\n".join(part for part in parts if part)


def heading(results, title):
    machine = results["machine"]
    lines = [f"# {title}, {results['date']}", "",
             f"- machine: {machine['cores']} cores {machine['cpu']}, {machine['memory_mib']} MiB, "
             f"Linux {machine['kernel']}, {machine['system']}",
             f"- versions: {machine['millrace']} ({machine['revision']}); {machine['nginx']}; {machine['haproxy']}",
             f"- command: `{results['command']}`",
             f"- protocol: {json.dumps(results['protocol'])}"]
    if machine["load_average_at_start"] > 0.5:
        lines.append(f"- **the machine was not quiet** (load average {machine['load_average_at_start']:.1f} at the "
                     "start): ratios hold, absolute times and tails do not")
    if results.get("quick"):
        lines.append("- **--quick: a smoke run, not a measurement**")
    return "\n".join(lines) + "\n\n"


def write(results, directory, name, tables, title=None):
    directory.mkdir(parents=True, exist_ok=True)
    suffix = "-quick" if results.get("quick") else ""
    base = directory / f"{results['date']}-{name}{suffix}"
    text = heading(results, title or "Load") + tables
    base.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    base.with_suffix(".md").write_text(text)
    print(text)
    print(f"written: {base}.json, {base}.md")
