"""The short way of a whole policy does what the long way does, call by call."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcready._core.events import subscribe
from svcready.errors import AttemptTimeout, BulkheadFull, DeadlineExceeded
from svcready.resilience import (
    _events,
    bulkhead,
    circuit_breaker,
    deadline,
    policy,
    retry,
)
from svcready.resilience._composing._policy import POLICIES, Policy
from svcready.resilience._layering._layers import once
from svcready.resilience._parts import parts
from svcready.testing import FakeClock
from tests.resilience.fake_loop import run_on_fake_time
from tests.resilience.peers import run_on

KINDS = tuple(getattr(_events, name) for name in _events.__all__)
ERRORS: dict[str, Callable[[], BaseException]] = {
    "retried": ConnectionError,
    "own": ValueError,
    "interrupted": KeyboardInterrupt,
}


class Step(NamedTuple):
    """One attempt: how long it takes and how it ends."""

    takes_s: float
    ends: str


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.5, 1.5, 4.0, 40.0]),
        st.sampled_from(["answered", "retried", *ERRORS]),
    ),
    min_size=1,
    max_size=40,
)
PARTS = st.fixed_dictionaries(
    {
        "timeout": st.sampled_from([None, 1]),
        "deadline": st.sampled_from([None, 3]),
        "bulkhead": st.sampled_from([None, 1]),
    }
)


def declare(arguments: dict[str, float | None], clock: FakeClock) -> Policy:
    """Declare the policy anew, on *clock*."""
    POLICIES.clear()
    for part in parts():
        part.register.clear()

    room = arguments["bulkhead"]
    payments = policy(
        "payments",
        deadline=arguments["deadline"],
        timeout=arguments["timeout"],
        retry=retry(on=ConnectionError, wait_base=0.2),
        breaker=circuit_breaker(consecutive_failures=7),
        bulkhead=None if room is None else bulkhead(max_concurrent=int(room)),
    )
    run_on(clock)
    return payments


class Run(NamedTuple):
    """All that can be seen of some calls."""

    ends: list[str]
    counts: dict[str, dict[str, int]]
    events: list[object]


def run(
    arguments: dict[str, float | None], steps: list[Step], *, short: bool, tasks: bool
) -> Run:
    """Make calls until all steps are used up, the short way or the long one."""
    clock = FakeClock()
    payments = declare(arguments, clock)
    left = list(steps)

    def attempt() -> str:
        step = left.pop() if left else Step(0.0, "answered")
        clock.advance(step.takes_s)
        if step.ends in ERRORS:
            raise ERRORS[step.ends]()  # noqa: RSE102 - mypy wants it

        return step.ends

    async def attempt_async() -> str:
        return attempt()

    function: Callable[..., object] = attempt_async if tasks else attempt
    layers = payments._plan.layers
    call = payments(function) if short else once(function, layers)
    events: list[object] = []
    undo = [subscribe(kind, events.append) for kind in KINDS]
    ends = []
    loop = asyncio.new_event_loop()
    try:
        while left:
            try:
                made = call()
                ends.append(loop.run_until_complete(made) if tasks else made)  # type: ignore[arg-type]
            except BaseException as error:  # noqa: BLE001 - all of them are compared
                ends.append(f"{error!r} {getattr(error, '__notes__', '')}")

            clock.advance(5.0 if "CircuitOpen" in str(ends[-1]) else 0.1)
    finally:
        loop.close()
        for step in undo:
            step()

    counts = {
        part.kind: {k: n for k, n in thing.core.counts().items() if n}
        for part in parts()
        for thing in part.register.things()
    }
    return Run(ends, counts, events)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(arguments=PARTS, steps=STEPS)
def test_plain_calls_end_alike(
    arguments: dict[str, float | None], steps: list[Step]
) -> None:
    """Results, errors, notes, counts and events of plain calls are the same."""
    short = run(arguments, steps, short=True, tasks=False)
    assert short == run(arguments, steps, short=False, tasks=False)


@settings(max_examples=100, deadline=None)
@given(arguments=PARTS, steps=STEPS.filter(lambda s: "interrupted" not in str(s)))
def test_awaited_calls_end_alike(
    arguments: dict[str, float | None], steps: list[Step]
) -> None:
    """The same holds for coroutines that nothing cuts off."""
    short = run(arguments, steps, short=True, tasks=True)
    assert short == run(arguments, steps, short=False, tasks=True)


def core(kind: str) -> object:
    """Return the state of the only part of a kind."""
    (found,) = (
        declared.core
        for part in parts()
        if part.kind == kind
        for declared in part.register.things()
    )
    return found


def counts(kind: str) -> dict[str, int]:
    """Return what the only part of a kind has counted."""
    return {k: n for k, n in core(kind).counts().items() if n}  # type: ignore[attr-defined]


async def hang() -> None:
    """Never answer."""
    await asyncio.get_running_loop().create_future()


def test_an_attempt_that_hangs_is_cut_off_and_retried() -> None:
    """The first attempt's time-out is a failure like any other: others follow."""
    begun = 0
    payments = policy(
        "payments",
        retry=retry(on=AttemptTimeout, wait_base=0.001, wait_max=0.001),
        breaker=True,
        bulkhead=1,
        timeout=0.01,
        deadline=10,
    )

    @payments
    async def pay() -> str:
        nonlocal begun
        begun += 1
        if begun == 1:
            await hang()

        return "paid"

    assert asyncio.run(pay()) == "paid"
    assert counts("timeout") == {"timed_out": 1, "success": 1}
    assert counts("breaker") == {"failure": 1, "success": 1}
    assert counts("deadline") == {"success": 1}
    assert counts("bulkhead") == {"admitted": 2}


def test_a_call_that_hangs_ends_with_its_deadline(clock: FakeClock) -> None:
    """The last attempt has what is left; nobody blames the dependency for it."""
    payments = policy(
        "payments",
        retry=retry(on=AttemptTimeout, wait_base=0.1, wait_max=0.1),
        breaker=True,
        bulkhead=1,
        timeout=2,
        deadline=3,
    )

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await payments.call(hang)

    run_on(clock)
    run_on_fake_time(twice(), clock)
    assert counts("deadline") == {"timed_out": 2}
    told = counts("breaker")
    assert told["failure"] == 2  # the first attempts, by their own time-out
    assert told.get("cancelled", 0) + told.get("ignored", 0) == 2
    assert core("bulkhead").level().in_use == 0  # type: ignore[attr-defined]


def test_a_deadline_that_is_the_earlier_one_ends_the_first_attempt() -> None:
    """It is the call that took too long, and no further attempt is made."""
    payments = policy(
        "payments", retry=Exception, breaker=True, bulkhead=1, deadline=0.01
    )
    with pytest.raises(DeadlineExceeded):
        asyncio.run(payments.call(hang))

    assert counts("deadline") == {"timed_out": 1}
    assert counts("breaker") == {"cancelled": 1}


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """The caller's cancellation passes as it is, and the permit is free again."""
    payments = policy(
        "payments", retry=OSError, breaker=True, bulkhead=1, timeout=9, deadline=20
    )
    pay = payments(hang)

    async def cancel() -> None:
        task = asyncio.create_task(pay())
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await pay()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert core("bulkhead").level().in_use == 0  # type: ignore[attr-defined]
    assert counts("breaker") == {"cancelled": 1}
    assert counts("timeout") == {"cancelled": 1}


def test_a_plain_function_may_return_an_awaitable() -> None:
    """The first one is found out, and is guarded until its end like all after it."""
    payments = policy(
        "payments",
        retry=retry(on=ConnectionError, wait_base=0.001, wait_max=0.001),
        breaker=True,
        bulkhead=1,
        timeout=5,
    )
    begun = 0

    async def answer() -> str:
        if begun < 3:
            raise ConnectionError

        return "paid"

    def pay() -> object:
        nonlocal begun
        begun += 1
        return answer()

    async def main() -> tuple[object, object]:
        call = payments(pay)
        return await call(), await call()  # type: ignore[misc]

    assert asyncio.run(main()) == ("paid", "paid")
    assert begun == 4
    assert counts("breaker") == {"failure": 2, "success": 2}


def test_an_error_past_the_callers_deadline_is_the_applications() -> None:
    """What failed was called, so nobody says that nothing was."""
    clock = FakeClock()
    payments = policy(
        "payments", retry=ConnectionError, breaker=True, timeout=1, deadline=5
    )
    caller = deadline("caller", 2)
    run_on(clock)

    def pay() -> None:
        clock.advance(3.0)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        caller.call(payments(pay))

    assert counts("breaker") == {"failure": 1}


def test_a_failed_call_is_no_cycle() -> None:
    """What a call raised is freed at once, and not when the collector comes by."""
    payments = policy(
        "payments",
        retry=retry(on=OSError, wait_base=0.001, attempts=2),
        breaker=True,
        timeout=5,
        deadline=9,
    )

    @payments
    def pay() -> None:
        raise BrokenPipeError

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(BrokenPipeError):
                pay()

        found = [thing for thing in gc.get_objects() if type(thing) is BrokenPipeError]
        assert found == []
    finally:
        gc.enable()
