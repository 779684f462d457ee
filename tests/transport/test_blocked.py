from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

SCRIPT = """
import asyncio, gc, json, logging, os, sys, threading, time
import psutil
import svcready
from svcready._runtime import current

blocked_s, threads = float(sys.argv[1]), int(sys.argv[2])
settings = {"core.start_summary": "off", "log.flood_per_s": 0}
svcready.init(service="orders", settings=settings)
runtime = current()
log = svcready.get_logger("shop")
logging.getLogger("asyncio").disabled = True  # it has a line of its own at the start
process = psutil.Process()
logged, durations, late = [], [], []
stop = threading.Event()

def call(thread, i):
    text = "%d %d" % (thread, i)
    start = time.perf_counter()
    if i % 100 == 99:
        log.error(text, thread=thread)
    elif i % 2:
        log.info(text, thread=thread)
    else:
        log.debug(text, thread=thread)

    return time.perf_counter() - start

def work(thread):
    i, own = 0, []
    while not stop.wait(0.0005):
        own.append(call(thread, i))
        i += 1

    logged.append(i)
    durations.extend(own)

async def serve():
    i, own = 0, []
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - before - 0.001)
        own.append(call(threads, i))
        i += 1

    logged.append(i)
    durations.extend(own)

def load(seconds):
    for each in (logged, durations, late):
        each.clear()

    stop.clear()
    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    workers.append(threading.Thread(target=lambda: asyncio.run(serve())))
    for worker in workers:
        worker.start()

    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()

    durations.sort()
    return {
        "logged": sum(logged),
        "errors": sum(n // 100 for n in logged),
        "p99": durations[len(durations) * 99 // 100],
        "max": durations[-1],
        "late": max(late),
    }

def say(**words):
    os.write(2, json.dumps(words).encode() + b"\\n")

free = load(1.0)
assert runtime.logging.flush(30)
gc.collect()
before = process.memory_info().rss
say(free=free)
os.read(0, 1)  # from now on nobody reads
blocked = load(blocked_s)
grown = process.memory_info().rss - before
say(blocked=blocked, grown=grown)
assert runtime.logging.flush(50)
dropped = {}
channel = runtime.logging.destinations.channel
for (reason, level), lines in channel.dropped_by_level.items():
    dropped["%s %d" % (reason, level)] = lines

say(dropped=dropped)
"""

QUEUE_BYTES = 1024**2


class Reader(threading.Thread):
    """Reads a pipe to its end, while it is let."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._parts: list[bytes] = []
        self.may_read = threading.Event()
        self.may_read.set()

    def run(self) -> None:
        """Read."""
        while True:
            self.may_read.wait(60)
            if not select.select([self._fd], [], [], 0.05)[0]:
                continue

            if self.may_read.is_set():
                part = os.read(self._fd, 65_536)
                if not part:
                    return

                self._parts.append(part)

    def lines(self) -> list[bytes]:
        """Return what was read, when all was."""
        self.join(60)
        return b"".join(self._parts).splitlines()


def check_blocked(delivery: str, blocked_s: float) -> None:
    """
    Log on eight threads and an event loop while nobody reads, and see what came of it.

    Args:
        delivery: How lines are delivered.
        blocked_s: For how many seconds.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(blocked_s), "8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "SVCREADY_LOG_DELIVERY": delivery,
            "SVCREADY_LOG_QUEUE_BYTES": str(QUEUE_BYTES),
            "SVCREADY_LOG_QUEUE_LINES": "3000",
            "SVCREADY_LOG_LEVEL": "DEBUG",
            "SVCREADY_LOG_ALLOW_DEBUG": "true",
        },
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        reader = Reader(process.stdout.fileno())
        reader.start()
        try:
            free = json.loads(process.stderr.readline())["free"]
            reader.may_read.clear()
            time.sleep(0.1)  # its last look at the pipe
            process.stdin.write(b"\n")
            process.stdin.flush()
            said = json.loads(process.stderr.readline())
            reader.may_read.set()
            dropped = Counter(json.loads(process.stderr.readline())["dropped"])
            lines = [json.loads(line) for line in reader.lines()]
            assert process.wait(50) == 0, process.stderr.read()
        finally:
            reader.may_read.set()
            process.kill()
            reader.join(60)

    blocked = said["blocked"]
    shop = [line for line in lines if line["source"]["logger"] == "shop"]
    summaries = [it for it in lines if it.get("event") == "svcready.logging.dropped"]

    assert free["logged"] + blocked["logged"] == len(shop) + dropped.total()
    assert dropped.total() > 0
    assert set(dropped) <= {"queue_full 10", "queue_full 20"}
    levels = Counter(line["level"] for line in shop)
    assert levels["ERROR"] == free["errors"] + blocked["errors"]
    assert sum(it["context"]["lines"] for it in summaries) == dropped.total()
    assert len(summaries) == 1
    check_order(shop)

    # Generous, because a machine that runs other things stalls threads by itself; a
    # caller that waits for the pipe does so for as long as it is blocked.
    most_s = max(0.25, 3 * free["max"], 3 * free["late"])
    assert blocked["max"] < most_s, (free, blocked)
    assert blocked["late"] < most_s, (free, blocked)
    assert blocked["p99"] < max(0.02, 5 * free["p99"]), (free, blocked)
    assert said["grown"] < 3 * QUEUE_BYTES + 8 * 1024**2


def check_order(shop: list[dict[str, str]]) -> None:
    """Fail unless the lines of each thread, counted anew at each load, are in order."""
    last: dict[str, int] = {}
    restarts: Counter[str] = Counter()
    for line in shop:
        thread, number = line["message"].split()
        if int(number) <= last.get(thread, -1):
            restarts[thread] += 1

        last[thread] = int(number)

    assert set(restarts.values()) <= {1}, restarts


@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_a_blocked_output_stalls_nobody(delivery: str) -> None:
    """Callers go on as before, memory is bounded, every line is out or counted."""
    check_blocked(delivery, 1.5)


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize("delivery", ["hybrid", "async"])
def test_an_output_blocked_for_long_stalls_nobody(delivery: str) -> None:
    """Neither do ten seconds, which is twice what a collector's restart takes."""
    check_blocked(delivery, 10.0)
