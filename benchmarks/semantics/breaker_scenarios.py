"""What is tried with circuit breakers, and what a right answer looks like."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.semantics.breakers import OPEN_S, SUCCESSES
from benchmarks.semantics.scenarios import (
    SETTLE_S,
    Dependency,
    Finding,
    Scenario,
    attempt,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from benchmarks.semantics.breakers import Breaker

__all__ = ["BREAKER_SCENARIOS"]

_ELAPSED_S = OPEN_S * 1.3  # svcready spreads the time by a fifth
_CALLERS = 50


def _trip(dependency: Dependency, call: Callable[[], object]) -> None:
    dependency.fails = True
    for _ in range(3):
        attempt(call)

    dependency.fails = False


def half_open_stampede(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency)
    _trip(dependency, call)
    time.sleep(_ELAPSED_S)
    before, dependency.held = dependency.calls, threading.Event()
    threads = start(call, _CALLERS)
    reached = dependency.calls - before
    waiting = sum(thread.is_alive() for thread in threads) - reached
    dependency.held.set()
    for thread in threads:
        thread.join(5.0)

    if waiting:
        total = dependency.calls - before
        return Finding(False, f"{total} of {_CALLERS} get through, one after the other")

    return Finding(reached == 1, f"{reached} of {_CALLERS} get through")


def stale_success(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency)
    held = dependency.held = threading.Event()
    threads = start(call)
    dependency.held = None
    _trip(dependency, call)
    if dependency.reached_by(call):
        held.set()
        return Finding(False, "never opens while another call runs")

    held.set()
    threads[0].join(5.0)
    closed = dependency.reached_by(call)
    return Finding(not closed, "closes it" if closed else "changes nothing")


def late_failures(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency)
    held = dependency.held = threading.Event()
    threads = start(call, 3)
    dependency.held = None
    _trip(dependency, call)
    time.sleep(_ELAPSED_S)
    for _ in range(SUCCESSES):
        call()

    dependency.fails = True
    held.set()
    for thread in threads:
        thread.join(5.0)

    dependency.fails = False
    closed = dependency.reached_by(call)
    return Finding(closed, "change nothing" if closed else "open it again")


def cancelled_probe(breaker: Breaker) -> Finding:
    if not breaker.has_async:
        return Finding(None, "no asyncio")

    return asyncio.run(_cancelled_probe(breaker))


async def _cancelled_probe(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency.task)
    dependency.fails = True
    for _ in range(3):
        with contextlib.suppress(Exception):
            await call()

    dependency.fails = False
    await asyncio.sleep(_ELAPSED_S)
    dependency.held = threading.Event()
    probe = asyncio.create_task(call())
    await asyncio.sleep(SETTLE_S)
    probe.cancel()
    with contextlib.suppress(BaseException):
        await probe

    async def reached(tasks: int) -> int:
        before = dependency.calls
        following = [asyncio.create_task(call()) for _ in range(tasks)]
        await asyncio.sleep(SETTLE_S)
        found = dependency.calls - before
        for task in following:
            task.cancel()

        await asyncio.gather(*following, return_exceptions=True)
        return found

    found = await reached(2)
    if found == 1:
        return Finding(True, "frees the place for the next")

    if found == 2:
        return Finding(False, "closes it, or never limited probes")

    await asyncio.sleep(_ELAPSED_S)
    again = await reached(1)
    return Finding(False, "opens it again" if again else "no probe ever again")


def hung_probe(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency)
    _trip(dependency, call)
    time.sleep(_ELAPSED_S)
    held = dependency.held = threading.Event()
    start(call)
    dependency.held = None
    if dependency.reached_by(call):
        held.set()
        return Finding(None, "probes aren't limited")

    time.sleep(2 * _ELAPSED_S)
    # A lost probe has failed: it is open for a while first, twice as long as before.
    for _ in range(3):
        if dependency.reached_by(call):
            held.set()
            return Finding(True, "its lease ends, and another is made")

        time.sleep(_ELAPSED_S)

    held.set()
    return Finding(False, "all calls are refused while it hangs")


def failing_generator(breaker: Breaker) -> Finding:
    dependency = Dependency()

    def items() -> Generator[str, None, None]:
        yield dependency()

    try:
        stream = breaker.make()(items)
        _trip(dependency, lambda: list(stream()))
        refused = not dependency.reached_by(lambda: list(stream()))
    except Exception as error:  # noqa: BLE001 - that is the finding
        return Finding(False, type(error).__name__)

    return Finding(refused, "count" if refused else "are not seen")


def closed_generator(breaker: Breaker) -> Finding:
    dependency = Dependency()

    def items() -> Generator[str, None, None]:
        while True:
            yield dependency()

    stream = breaker.make()(items)

    def one() -> None:
        source = stream()
        next(source)
        source.close()

    for _ in range(4):
        with contextlib.suppress(Exception):
            one()

    fine = dependency.reached_by(one)
    return Finding(fine, "counts as answered" if fine else "counts as failed")


def lambda_coroutine(breaker: Breaker) -> Finding:
    if not breaker.has_async:
        return Finding(None, "no asyncio")

    dependency = Dependency()

    async def probe() -> bool:
        call = breaker.make()(lambda: dependency.task())  # noqa: PLW0108
        dependency.fails = True
        for _ in range(3):
            with contextlib.suppress(Exception):
                await call()

        before = dependency.calls
        with contextlib.suppress(Exception):
            await call()

        return dependency.calls == before

    refused = asyncio.run(probe())
    return Finding(refused, "count" if refused else "are not seen")


def tripping_error(breaker: Breaker) -> Finding:
    dependency = Dependency()
    call = breaker.make()(dependency)
    dependency.fails = True
    raised = "nothing"
    for _ in range(3):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - that is the finding
            raised = type(error).__name__

    return Finding(raised == "ConnectionError", raised)


BREAKER_SCENARIOS = (
    Scenario(
        "50 callers meet a half-open breaker",
        "1 gets through: a dependency that comes back is not run over",
        half_open_stampede,
    ),
    Scenario(
        "A call from before it opened succeeds",
        "It stays open: the answer is of another time",
        stale_success,
    ),
    Scenario(
        "Calls from before it opened fail after it has closed",
        "It stays closed, for the same reason",
        late_failures,
    ),
    Scenario(
        "The probe is cancelled",
        "Says nothing of the dependency; the next call is a probe",
        cancelled_probe,
    ),
    Scenario(
        "The probe hangs for ever",
        "Another is made after a while",
        hung_probe,
    ),
    Scenario("A generator's items fail", "Failures count", failing_generator),
    Scenario(
        "A consumer closes a generator early",
        "It had what it wanted: no failure",
        closed_generator,
    ),
    Scenario(
        "A lambda returns a coroutine that fails",
        "Failures count",
        lambda_coroutine,
    ),
    Scenario(
        "The call that opens it",
        "Raises its own error, `ConnectionError`",
        tripping_error,
    ),
)
"""What is tried with breakers."""
