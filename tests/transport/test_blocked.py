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
import asyncio, gc, json, os, sys, threading, time
from array import array
import psutil
import svcready
from svcready._runtime import current

blocked_s, threads = float(sys.argv[1]), int(sys.argv[2])
settings = {"core.start_summary": "off", "log.flood_per_s": 0}
svcready.init(service="orders", settings=settings)
runtime = current()
log = svcready.get_logger("shop")
process = psutil.Process()
logged, durations, late = {}, array("d"), array("d")
stop = threading.Event()

def call(name, thread, i):
    text = "%s %d %d" % (name, thread, i)
    start = time.perf_counter()
    if i % 100 == 99:
        log.error(text, thread=thread)
    elif i % 2:
        log.info(text, thread=thread)
    else:
        log.debug(text, thread=thread)

    return time.perf_counter() - start

def work(name, thread):
    i, own = 0, array("d")
    while not stop.wait(0.0005):
        own.append(call(name, thread, i))
        i += 1

    logged[thread] = i
    durations.extend(own)

async def serve(name):
    i, own = 0, array("d")
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - before - 0.001)
        own.append(call(name, threads, i))
        i += 1

    logged[threads] = i
    durations.extend(own)

def load(name, seconds):
    logged.clear()
    del durations[:], late[:]
    stop.clear()
    workers = [threading.Thread(target=work, args=(name, n)) for n in range(threads)]
    workers.append(threading.Thread(target=lambda: asyncio.run(serve(name))))
    for worker in workers:
        worker.start()

    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()

    rss = process.memory_info().rss
    order = sorted(durations)
    return {
        "logged": dict(logged),
        "rss": rss,
        "p99": order[len(order) * 99 // 100],
        "max": order[-1],
        "late": max(late),
    }

def say(**words):
    os.write(2, json.dumps(words).encode() + b"\\n")

free = load("free", 1.0)
assert runtime.logging.flush(30)
gc.collect()
before = process.memory_info().rss
say(free=free)
os.read(0, 1)  # from now on nobody reads
blocked = load("blocked", blocked_s)
say(blocked=blocked, grown=blocked["rss"] - before)
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
            # It says which selector it uses, which may be dropped like any other line.
            "SVCREADY_LOG_LEVELS": "asyncio=INFO",
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
            dropped = json.loads(process.stderr.readline())["dropped"]
            lines = [json.loads(line) for line in reader.lines()]
            assert process.wait(50) == 0, process.stderr.read()
        finally:
            reader.may_read.set()
            process.kill()
            reader.join(60)

    blocked = said["blocked"]
    shop = [line for line in lines if line["source"]["logger"] == "shop"]
    summaries = [it for it in lines if it.get("event") == "svcready.logging.dropped"]

    # The account is of what `shop` logs, so nobody else may lose a line.
    assert {line["source"]["logger"] for line in lines} == {"shop", "svcready"}
    check_account(logged_in(free=free, blocked=blocked), shop, dropped)
    lost = sum(dropped.values())
    assert lost > 0
    assert set(dropped) <= {"queue_full 10", "queue_full 20"}
    assert sum(it["context"]["lines"] for it in summaries) == lost
    assert len(summaries) == 1
    check_order(shop)

    # Generous, because a machine that runs other things stalls threads by itself; a
    # caller that waits for the pipe does so for as long as it is blocked.
    most_s = max(0.25, 3 * free["max"], 3 * free["late"])
    assert blocked["max"] < most_s, (free, blocked)
    assert blocked["late"] < most_s, (free, blocked)
    assert blocked["p99"] < max(0.02, 5 * free["p99"]), (free, blocked)
    assert said["grown"] < 3 * QUEUE_BYTES + 8 * 1024**2


def logged_in(**loads: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the message of each line that the loads logged, and its level."""
    return {
        f"{name} {thread} {i}": 40 if i % 100 == 99 else 20 if i % 2 else 10
        for name, load in loads.items()
        for thread, count in load["logged"].items()
        for i in range(count)
    }


def check_account(
    logged: dict[str, int], shop: list[dict[str, str]], dropped: dict[str, int]
) -> None:
    """Fail, and name it, unless each line is out once or is counted by its level."""
    out = Counter(line["message"] for line in shop)
    assert {message: n for message, n in out.items() if n > 1} == {}
    assert out.keys() - logged.keys() == set()
    levels = (level for message, level in logged.items() if message not in out)
    assert Counter(f"queue_full {level}" for level in levels) == dropped


def check_order(shop: list[dict[str, str]]) -> None:
    """Fail unless the lines of each thread are in order, in either load."""
    last: dict[tuple[str, str], int] = {}
    for line in shop:
        load, thread, number = line["message"].split()
        assert int(number) > last.get((load, thread), -1), line
        last[load, thread] = int(number)


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
