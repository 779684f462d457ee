"""What is tried with retries, and what a right answer looks like."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.semantics.scenarios import Dependency, Finding, Scenario

if TYPE_CHECKING:
    from collections.abc import Generator

    from benchmarks.semantics.retries import Retry

__all__ = ["RETRY_SCENARIOS"]

_CALLS = 1000


def nested_retries(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.fails = True
    call = retry.make()(retry.make()(retry.make()(dependency)))
    with contextlib.suppress(Exception):
        call()

    return Finding(dependency.calls <= 3, f"{dependency.calls} calls")


def jitter_at_the_cap(retry: Retry) -> Finding:
    cap_s, at_s = 0.03, []

    def call() -> None:
        at_s.append(time.monotonic())
        raise ConnectionError

    with contextlib.suppress(Exception):
        retry.make(attempts=20, base_s=0.01, max_s=cap_s)(call)()

    waits = [after - before for before, after in itertools.pairwise(at_s)][3:]
    if len(waits) < 5:
        return Finding(None, f"{len(waits)} waits seen")

    spread = max(waits) - min(waits) > cap_s / 3
    text = "spread from 0 to the cap" if spread else "all the same: a synchronised herd"
    return Finding(spread, text)


def deadline_overrun(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.fails = True
    call = retry.make(attempts=50, base_s=0.3, max_s=0.3, within_s=0.4)(dependency)
    longest_s = 0.0
    for _ in range(5):
        started_s = time.monotonic()
        with contextlib.suppress(Exception):
            call()

        longest_s = max(longest_s, time.monotonic() - started_s)

    over_s = longest_s - 0.4
    if over_s < 0.05:
        return Finding(True, "no wait ends after it")

    return Finding(False, f"up to {over_s:.1f} s over 0.4 s")


def hung_attempt(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.held = threading.Event()

    async def cut() -> bool:
        call = retry.make(attempts=2, within_s=0.3)(dependency.task)
        task = asyncio.create_task(call())
        done, _ = await asyncio.wait({task}, timeout=1.0)
        dependency.held.set()
        with contextlib.suppress(Exception):
            await task

        return bool(done)

    ended = asyncio.run(cut())
    return Finding(ended, "is cut off" if ended else "runs on past it")


def total_failure(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.fails = True
    call = retry.make(base_s=0.001, max_s=0.001)(dependency)
    for _ in range(_CALLS):
        with contextlib.suppress(Exception):
            call()

    rate = dependency.calls / _CALLS
    return Finding(rate <= 1.25, f"{rate:.2f} times the load")


def unstarted_stream(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.fails = True

    def items() -> Generator[str, None, None]:
        yield dependency()

    with contextlib.suppress(Exception):
        list(retry.make()(items)())

    tried = dependency.calls > 1
    return Finding(tried, "is begun again" if tried else "is never retried")


def started_stream(retry: Retry) -> Finding:
    begun = 0

    def items() -> Generator[int, None, None]:
        nonlocal begun
        begun += 1
        yield 1
        yield 2
        if begun == 1:
            raise ConnectionError("the stream broke")

        yield 3

    seen: list[int] = []
    with contextlib.suppress(Exception):
        for item in retry.make()(items)():
            seen.append(item)  # noqa: PERF402 - what was seen before it broke

    twice = len(seen) != len(set(seen))
    return Finding(not twice, "items come twice" if twice else "the error goes out")


def retried_lambda(retry: Retry) -> Finding:
    dependency = Dependency()
    dependency.fails = True

    async def ask() -> None:
        with contextlib.suppress(Exception):
            await retry.make()(lambda: dependency.task())()  # noqa: PLW0108

    asyncio.run(ask())
    tried = dependency.calls > 1
    return Finding(tried, "is retried" if tried else "is never retried")


class _Everything(logging.Handler):
    """Keeps all that a structured formatter could write of a record."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(repr(vars(record)))


def secret_argument(retry: Retry) -> Finding:
    kept, handler, root = io.StringIO(), _Everything(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    streams, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), (kept, kept)

    def call(*, password: str) -> None:
        raise ConnectionError(len(password))

    try:
        retry.make()(call)(password="hunter2-hunter2")
    except ConnectionError as error:
        handler.said.append(f"{error!r} {getattr(error, '__notes__', '')}")
    finally:
        sys.stdout, sys.stderr = streams
        root.removeHandler(handler)
        root.setLevel(before)

    told = any("hunter2" in said for said in (kept.getvalue(), *handler.said))
    return Finding(not told, "is in the log" if told else "is nowhere")


RETRY_SCENARIOS = (
    Scenario(
        "Three layers retry three times each",
        "3 calls: only one layer retries",
        nested_retries,
    ),
    Scenario(
        "Waits that have reached their cap",
        "Keep their jitter, or all clients come back at once",
        jitter_at_the_cap,
    ),
    Scenario(
        "A wait would end after the deadline",
        "It isn't begun",
        deadline_overrun,
    ),
    Scenario("An attempt hangs past the deadline", "It is cut off", hung_attempt),
    Scenario(
        "Everything fails, with the defaults",
        "At most 1.25 times the load: retries are paid for",
        total_failure,
    ),
    Scenario(
        "A generator fails before its first item",
        "It is begun again",
        unstarted_stream,
    ),
    Scenario(
        "A generator fails after its second item",
        "The error goes out: items can't be taken back",
        started_stream,
    ),
    Scenario(
        "A lambda returns a coroutine that fails",
        "It is retried",
        retried_lambda,
    ),
    Scenario(
        "An argument is a secret",
        "It is in no log line, note or error",
        secret_argument,
    ),
)
"""What is tried with retries."""
