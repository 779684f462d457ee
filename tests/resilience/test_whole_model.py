"""Random policies, modes and endings: the short way is the long way, told in short."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcready._core.events import subscribe
from svcready.errors import (
    AttemptTimeout,
    BulkheadFull,
    DeadlineExceeded,
    RateLimited,
)
from svcready.resilience import (
    _events,
    bulkhead,
    circuit_breaker,
    policy,
    redis,
    remaining,
    retry,
)
from svcready.resilience._composing._policy import POLICIES, Policy
from svcready.resilience._layering._layers import once
from svcready.resilience._parts import parts
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.peers import run_on

KINDS = tuple(getattr(_events, name) for name in _events.__all__)
MODES = ("enforce", "observe", "off")
ERRORS: dict[str, Callable[[], BaseException]] = {
    "refused": ConnectionRefusedError,
    "late": TimeoutError,
    "late by httpx": lambda: httpx.ReadTimeout("late"),
    "late inside": lambda: AttemptTimeout("late"),
    "past a deadline": lambda: DeadlineExceeded("late"),
    "limited": lambda: RateLimited("payments", "rate", retry_after=0.3),
    "full": lambda: BulkheadFull("inner", "full"),
    "own": ValueError,
}


class Step(NamedTuple):
    """One attempt: how long it takes, how it ends, and what an operator does then."""

    takes_s: float
    ends: str
    hangs: bool
    """It waits for that time; else it works."""
    tunes: tuple[str, str] | None
    """A part and its new mode."""


class Caller(NamedTuple):
    """A policy, and who calls."""

    timeout: float | None
    deadline: float | None
    room: int | None
    of_redis: bool
    slow: bool
    modes: tuple[tuple[str, str], ...]
    left_s: float | None
    """What a deadline from outside leaves each call."""


PARTS = ("timeout", "deadline", "bulkhead", "breaker", "retry")
tunings = st.tuples(st.sampled_from(PARTS), st.sampled_from(MODES))
steps = st.builds(
    Step,
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 8.0]),
    st.sampled_from(["answered", *ERRORS]),
    st.booleans(),
    st.none() | tunings,
)
callers = st.builds(
    Caller,
    st.sampled_from([None, 0.5, 1.0]),
    st.sampled_from([None, 1.0, 3.0]),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.booleans(),
    st.lists(tunings, max_size=2).map(tuple),
    st.sampled_from([None, 0.75, 2.0]),
)


def declare(caller: Caller, clock: FakeClock) -> Policy:
    """Declare the policy anew, on *clock*."""
    POLICIES.clear()
    for part in parts():
        part.register.clear()

    slow_after = 0.6 if caller.slow else None
    breaker = circuit_breaker(consecutive_failures=7, slow_after=slow_after)
    if caller.of_redis:
        breaker = circuit_breaker(
            success=redis.answered,
            inconclusive=redis.local,
            ignore=redis.unrelated,
            slow_after=slow_after,
        )

    payments = policy(
        "payments",
        deadline=caller.deadline,
        timeout=caller.timeout,
        retry=retry(on=(ConnectionError, TimeoutError), wait_base=0.25),
        breaker=breaker,
        bulkhead=None if caller.room is None else bulkhead(max_concurrent=caller.room),
    )
    run_on(clock)
    for kind, mode in caller.modes:
        tune(kind, mode, clock)

    return payments


def tune(kind: str, mode: str, clock: FakeClock) -> None:
    """Put a part in another mode, if it is declared."""
    for part in parts():
        if part.kind == kind:
            for thing in part.register.things():
                config = cast("tuple[object, ...]", thing.core.config)
                thing.core.use(config._replace(mode=mode), clock)  # type: ignore[attr-defined]


class Run(NamedTuple):
    """All that can be seen of some calls."""

    ends: list[str]
    counts: dict[str, dict[str, int]]
    states: list[object]
    events: list[object]


class Dependency:
    """
    Does as the steps say, the last one first.

    Args:
        todo: The steps.
        clock: Time.
    """

    def __init__(self, todo: list[Step], clock: FakeClock) -> None:
        self.left = list(todo)
        self.clock = clock
        self.given: list[object] = []
        """What each attempt was told that it may take."""

    def plain(self) -> str:
        """Take a call."""
        step = self._begin()
        self.clock.advance(step.takes_s)
        return self._end(step)

    async def coroutine(self) -> str:
        """Take a call as a task."""
        step = self._begin()
        if step.hangs:
            await asyncio.sleep(step.takes_s)
        else:
            self.clock.advance(step.takes_s)

        return self._end(step)

    def _begin(self) -> Step:
        self.given.append(remaining())
        return self.left.pop() if self.left else Step(0.0, "answered", False, None)

    def _end(self, step: Step) -> str:
        if step.tunes is not None:
            tune(*step.tunes, self.clock)

        if step.ends in ERRORS:
            raise ERRORS[step.ends]()  # noqa: RSE102 - mypy wants it

        return step.ends


def run(caller: Caller, todo: list[Step], *, short: bool, tasks: bool) -> Run:
    """Make calls until all steps are used up, the short way or the long one."""
    clock = FakeClock()
    payments = declare(caller, clock)
    peer = Dependency(todo, clock)
    function: Callable[..., object] = peer.coroutine if tasks else peer.plain
    call = payments(function) if short else once(function, payments._plan.layers)
    left_s = math.inf if caller.left_s is None else caller.left_s
    ends: list[str] = []
    states: list[object] = []

    async def calls() -> None:
        while peer.left:
            token = _deadline.put(clock.monotonic() + left_s)
            try:
                made = call()
                ends.append(str(await cast("Awaitable[str]", made) if tasks else made))
            except Exception as error:  # noqa: BLE001 - all of them are compared
                ends.append(f"{error!r} {getattr(error, '__notes__', '')}")
            finally:
                _deadline.lift(token)

            states.extend((clock.monotonic(), breaker_state()))
            clock.advance(5.0 if "CircuitOpen" in ends[-1] else 0.1)

    events: list[object] = []
    undo = [subscribe(kind, events.append) for kind in KINDS]
    try:
        clock.run(calls())
    finally:
        for step in undo:
            step()

    counts = {
        part.kind: {k: n for k, n in thing.core.counts().items() if n}
        for part in parts()
        for thing in part.register.things()
    }
    return Run(ends, counts, states + peer.given, events)


def breaker_state() -> object:
    """Return the state of the only breaker, and its last failure."""
    [core] = [
        thing.core
        for part in parts()
        if part.kind == "breaker"
        for thing in part.register.things()
    ]
    return core.state, core.last_failure


REDIS = Caller(None, 1.0, None, True, False, (), None)


@pytest.mark.parametrize("tasks", [False, True], ids=["plain", "coroutine"])
@settings(max_examples=300, deadline=None)
@given(caller=callers, todo=st.lists(steps, min_size=1, max_size=12))
@example(caller=REDIS, todo=[Step(1.0, "late", False, None)])
def test_both_ways_end_and_count_alike(
    caller: Caller, todo: list[Step], *, tasks: bool
) -> None:
    """Errors, notes, counts, states, events and times are the same on both ways."""
    short = run(caller, todo, short=True, tasks=tasks)
    assert short == run(caller, todo, short=False, tasks=tasks)
