"""Open-loop arrivals: every request leaves at its own time, whatever became of those before it. Standard library only.

One connection per request. What is measured is what a client sees: the time to the first content token, counted from
the arrival, and the end of the stream. A request that the gateway refuses is an outcome, not an error of the run.
"""
import asyncio
import dataclasses
import json
import random
import re
import time

CONTENT = re.compile(rb'"content":"[^"]')


@dataclasses.dataclass
class Request:
    at: float  # seconds after the start
    body: bytes
    headers: dict
    label: str = ""


@dataclasses.dataclass
class Outcome:
    request: Request
    status: int = 0
    reason: str = ""
    endpoint: str = ""
    first: float = None  # seconds from the arrival
    total: float = None
    complete: bool = False


def chat(prompt, tokens, model="sim"):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True,
                       "max_tokens": tokens}, separators=(",", ":")).encode()


def poisson(rate, seconds, seed):
    """Arrival times."""
    rng, at = random.Random(seed), 0.0
    while (at := at + rng.expovariate(rate)) < seconds:
        yield at


async def _exchange(port, request, began, outcome):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{fields}"
                     f"content-length: {len(request.body)}\r\nconnection: close\r\n\r\n".encode() + request.body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        outcome.status = int(head.split(" ", 2)[1])
        for line in head.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "x-millrace-reason":
                outcome.reason = value
            if name.lower() == "x-millrace-endpoint":
                outcome.endpoint = value
        tail = b""
        while piece := await reader.read(1 << 16):
            tail = tail[-64:] + piece
            if outcome.first is None and CONTENT.search(tail):
                outcome.first = time.monotonic() - began - request.at
            outcome.complete = outcome.complete or b"data: [DONE]" in tail
        outcome.total = time.monotonic() - began - request.at
    finally:
        writer.close()


async def _one(port, request, began, outcome, timeout):
    await asyncio.sleep(max(0.0, began + request.at - time.monotonic()))
    try:
        await asyncio.wait_for(_exchange(port, request, began, outcome), timeout)
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        outcome.reason = type(error).__name__


def run(port, requests, timeout=120):
    """Sends them all; their outcomes in the same order."""
    async def everything():
        outcomes = [Outcome(request) for request in requests]
        began = time.monotonic() + 0.2
        await asyncio.gather(*(_one(port, request, began, outcome, timeout)
                               for request, outcome in zip(requests, outcomes)))
        return outcomes
    return asyncio.run(everything())


def quantile(values, q):
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


def milliseconds(values):
    return {f"p{round(q * 100)}": round(quantile(values, q) * 1000, 1) for q in (0.5, 0.9, 0.99)} if values else {}
