"""Random programs of nested times, cancelled at random, beside `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import NamedTuple, TypeAlias

from hypothesis import example, given
from hypothesis import strategies as st

from svcready.errors import DeadlineSpent
from svcready.resilience import remaining, timeout
from svcready.resilience._parts import parts
from svcready.resilience._timing._alarms import alarms_of
from svcready.resilience._timing._scope import GRACE_S
from svcready.testing import FakeClock
from tests.resilience.peers import run_on
from tests.resilience.timed_loop import run

TICKS = (1.0, 2.0, 3.0, 5.0)


class Nap(NamedTuple):
    """Waits; told to stop, it takes its time to, or does not at all."""

    seconds: float
    cleanup: float
    swallows: bool


class Within(NamedTuple):
    """A part of the program that has so much time, and may outlive its end."""

    seconds: float
    steps: tuple[Step, ...]
    catches: bool


Step: TypeAlias = "Nap | Within"
Body: TypeAlias = Callable[[], Awaitable[None]]
Bounding: TypeAlias = Callable[[float, Body], Awaitable[None]]

naps = st.builds(
    Nap, st.sampled_from(TICKS), st.sampled_from((0.0, 1.0, 2.0)), st.booleans()
)
programs = st.recursive(
    naps,
    lambda inner: st.builds(
        Within,
        st.sampled_from(TICKS),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    max_leaves=6,
)
cancellations = st.lists(st.sampled_from((0.5, 1.0, 2.0, 3.0, 4.0)), max_size=3)

UNTIL_S: ContextVar[float] = ContextVar("until_s", default=math.inf)


async def by_asyncio(seconds: float, body: Body) -> None:
    """Bound *body* by asyncio's means, nested ones by the earlier of both."""
    now_s, outer_s = asyncio.get_running_loop().time(), UNTIL_S.get()
    if outer_s <= now_s:
        raise DeadlineSpent("asyncio", "spent")

    ours = now_s + seconds <= outer_s
    token = UNTIL_S.set(min(outer_s, now_s + seconds))
    try:
        async with asyncio.timeout(seconds if ours else outer_s - now_s + GRACE_S):
            await body()
    finally:
        UNTIL_S.reset(token)


async def by_block(seconds: float, body: Body) -> None:
    """Bound *body* by a block of ours."""
    async with timeout(f"within-{seconds:g}", seconds):
        await body()


async def by_function(seconds: float, body: Body) -> None:
    """Bound *body* as a function that we decorate."""

    async def call() -> None:
        await body()

    await timeout(f"within-{seconds:g}", seconds)(call)()


async def play(
    step: Step, bounding: Bounding, clock: FakeClock, log: list[str]
) -> None:
    """Run one step of a program, and note what becomes of it when."""
    if isinstance(step, Nap):
        try:
            await asyncio.sleep(step.seconds)
        except asyncio.CancelledError:
            log.append(f"{clock.monotonic():.2f} stopped")
            await asyncio.sleep(step.cleanup)
            if not step.swallows:
                raise

        return

    async def body() -> None:
        for inner in step.steps:
            await play(inner, bounding, clock, log)

    try:
        await bounding(step.seconds, body)
    except TimeoutError:
        log.append(f"{clock.monotonic():.2f} timed out after {step.seconds:g}")
        if not step.catches:
            raise


async def watched(
    step: Step, cancels: list[float], bounding: Bounding, clock: FakeClock
) -> list[str]:
    """Run a program in a task that others cancel; return what was noted."""
    log: list[str] = []
    loop = asyncio.get_running_loop()

    async def main() -> None:
        try:
            await play(step, bounding, clock, log)
        finally:
            task = asyncio.current_task()
            assert task is not None
            log.append(f"{clock.monotonic():.2f} left with {task.cancelling()}")
            assert remaining() == math.inf

    task = asyncio.create_task(main())
    for seconds in cancels:
        loop.call_later(seconds, task.cancel)

    with contextlib.suppress(TimeoutError, asyncio.CancelledError, DeadlineSpent):
        await task

    if task.cancelled():
        log.append("cancelled")
    else:
        error = task.exception()
        late = isinstance(error, TimeoutError)
        log.append("timed out" if late else type(error).__name__)

    await asyncio.sleep(100)
    assert not [q for q in alarms_of(loop).queues.values() if q.entries]
    assert not alarms_of(loop).held
    return log


def outcome(
    program: Step, cancels: list[float], bounding: Bounding
) -> tuple[list[str], list[dict[str, int]]]:
    """Return what was noted, and what the time-outs have counted."""
    for part in parts():
        part.register.clear()

    timers = [timeout(f"within-{seconds:g}", seconds) for seconds in TICKS]
    clock = FakeClock()
    run_on(clock)
    log = run(clock, watched(program, cancels, bounding, clock))
    return log, [timer.core.counts() for timer in timers]


@example(Within(2.0, (Nap(5.0, 0.0, swallows=False),), catches=True), [2.0])
@example(Within(3.0, (Within(3.0, (Nap(5.0, 1.0, True),), True),), False), [])
@given(programs, cancellations)
def test_it_means_what_asyncio_means(program: Step, cancels: list[float]) -> None:
    """Who is cancelled when and by whom, and what is left: all as `asyncio.timeout`."""
    expected, _ = outcome(program, cancels, by_asyncio)
    seen, counted = outcome(program, cancels, by_block)
    assert seen == expected
    assert outcome(program, cancels, by_function) == (seen, counted)
