"""Deadlines: for the whole call, what is inside, blocks, and not for shielded work."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest

import svcready
from svcready.errors import (
    AttemptTimeout,
    DeadlineExceeded,
    DeadlineSpent,
    DeclarationError,
)
from svcready.resilience import (
    circuit_breaker,
    deadline,
    get_breaker,
    get_bulkhead,
    get_deadline,
    get_timeout,
    policy,
    remaining,
    retry,
    shielded,
    timeout,
)
from svcready.resilience._pillar import apply
from svcready.resilience._timing import _deadline as in_force
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, retrier_of, run_on
from tests.resilience.timed_loop import run


def counts_of(name: str) -> dict[str, int]:
    """Return what the deadline called *name* has counted, zeros left out."""
    counts = get_deadline(name).core.counts()
    return {what: total for what, total in counts.items() if total}


async def nap(seconds: float) -> str:
    """Take *seconds* of the loop's time."""
    await asyncio.sleep(seconds)
    return "answer"


def test_attempts_and_waits_have_one_time(clock: FakeClock) -> None:
    """It is outside the retry: the last attempt gets what is left, and no more."""
    began: list[float] = []

    @svcready.timeout("payments", 2)
    @svcready.retry("payments", on=TimeoutError, attempts=9, wait_base=0.5)
    @svcready.deadline("payments", "5s")
    async def pay() -> None:
        began.append(remaining())
        await asyncio.sleep(60)

    run_on(clock)
    start_s = clock.monotonic()
    with pytest.raises(DeadlineExceeded, match="payments: the deadline has passed"):
        run(clock, pay())

    assert clock.monotonic() - start_s == pytest.approx(5, abs=0.01)
    assert began == [pytest.approx(2), pytest.approx(2), pytest.approx(0.25)]
    assert counts_of("payments") == {"timed_out": 1}


@pytest.mark.parametrize(
    "values", [{}, {"timeout_mode": "off"}, {"timeout_mode": "observe"}]
)
def test_it_needs_no_time_out(clock: FakeClock, values: dict[str, object]) -> None:
    """Whether attempts are bounded or not, the deadline ends the call."""
    payments = policy("payments", deadline=5, timeout=4, retry=TimeoutError)
    call = payments(nap)

    async def main() -> None:
        assert await call(1) == "answer"
        with pytest.raises(OSError, match="own"):
            await payments.call(fail)

        began = clock.monotonic()
        with pytest.raises(DeadlineExceeded):
            await call(60)

        assert clock.monotonic() - began == pytest.approx(5, abs=0.01)
        task = asyncio.create_task(call(60))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def fail() -> None:
        raise OSError("own")

    run_on(clock)
    apply("payments", values)
    run(clock, main())
    assert counts_of("payments") == {
        "success": 1,
        "failure": 1,
        "timed_out": 1,
        "cancelled": 1,
    }


def test_blocking_code_makes_it_late(clock: FakeClock) -> None:
    """What holds the event loop up has answered, and is counted as late."""

    async def block() -> str:
        clock.advance(60)
        return "late"

    run_on(clock)
    payments = policy("payments", deadline=5, timeout=4)
    run_on(clock)
    assert run(clock, payments.call(block)) == "late"
    assert counts_of("payments") == {"overrun": 1}


def test_the_earlier_of_two_is_in_force(clock: FakeClock) -> None:
    """An inner deadline can only shorten what an outer one leaves."""
    inner = deadline("inner", 10)

    @deadline("outer", 2)
    async def outer() -> None:
        assert remaining() == pytest.approx(2)
        await inner(nap)(60)

    @deadline("patient", 20)
    async def patient() -> None:
        with pytest.raises(DeadlineExceeded, match="inner"):
            await inner(nap)(60)

        assert remaining() == pytest.approx(10)

    run_on(clock)
    with pytest.raises(DeadlineExceeded):
        run(clock, outer())

    run(clock, patient())
    assert counts_of("patient") == {"success": 1}


def test_a_deadline_that_came_in_is_kept(clock: FakeClock) -> None:
    """One that a caller sent is enforced although no timer of its own runs."""
    call = retry("payments", on=OSError, deadline=10)(timeout("payments", 5)(nap))

    async def handler() -> None:
        in_force.put(clock.monotonic() + 1)
        await call(60)

    run_on(clock)
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(clock, handler())

    assert clock.monotonic() - began == pytest.approx(1, abs=0.01)


def test_the_retrys_own_deadline_keeps_one_that_came_in(clock: FakeClock) -> None:
    """Also with nothing but a retry the earlier of both ends the attempt."""
    call = retry("payments", on=OSError, deadline=10)(nap)

    async def handler() -> None:
        in_force.put(clock.monotonic() + 1)
        await call(60)

    run_on(clock)
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(clock, handler())

    assert clock.monotonic() - began == pytest.approx(1, abs=0.01)
    assert retrier_of("payments").counts()["exhausted_deadline"] == 1


def test_attempts_of_a_plain_function_share_it(clock: FakeClock) -> None:
    """What it does before it returns an awaitable is of the retry's deadline too."""

    @retry("payments", on=OSError, deadline=5)
    def pay() -> Awaitable[str]:
        clock.advance(4)
        return nap(60)

    run_on(clock)
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(clock, begin(pay))

    assert clock.monotonic() - began == pytest.approx(5, abs=0.01)


async def begin(call: Callable[[], Awaitable[str]]) -> str:
    """Call and await."""
    return await call()


def test_remaining_is_never_below_zero(clock: FakeClock) -> None:
    """Client libraries take no negative time-outs."""

    @deadline("payments", 1)
    def late() -> list[float]:
        clock.advance(0.25)
        seen = [remaining()]
        clock.advance(5)
        return [*seen, remaining()]

    run_on(clock)
    assert late() == [0.75, 0.0]
    assert counts_of("payments") == {"overrun": 1}


def test_it_goes_with_the_context(clock: FakeClock) -> None:
    """Tasks and copied contexts have it; a thread without them has none."""
    seen: list[float] = []

    @deadline("payments", 2)
    async def work() -> None:
        await asyncio.create_task(look())
        context = contextvars.copy_context()
        for target in (lambda: context.run(note), note):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    def note() -> None:
        seen.append(remaining())

    async def look() -> None:
        note()

    run_on(clock)
    run(clock, work())
    assert seen == [pytest.approx(2), pytest.approx(2), math.inf]


def test_a_policy_bounds_blocks(clock: FakeClock) -> None:
    """`async with` is cancelled by time-out and deadline; the breaker hears of one."""
    payments = policy(
        "payments",
        deadline=3,
        timeout=2,
        breaker=circuit_breaker(consecutive_failures=1, open_for=1),
    )

    async def main() -> None:
        async with payments:
            assert remaining() == pytest.approx(2)

        with pytest.raises(AttemptTimeout):
            async with payments:
                await asyncio.sleep(60)

        assert get_breaker("payments").state == "open"
        get_breaker("payments").reset()
        with pytest.raises(DeadlineExceeded):
            async with deadline_of_page, payments:
                await asyncio.sleep(60)

        assert get_breaker("payments").state == "closed"
        with pytest.raises(OSError, match="own"):
            async with payments.guard():
                raise OSError("own")

        assert remaining() == math.inf

    deadline_of_page = deadline("page", 1)
    run_on(clock)
    run(clock, main())


def test_a_plain_block_asks_for_its_time(clock: FakeClock) -> None:
    """In `with` the times are in force, interrupt nothing, and admit nothing late."""
    payments = policy("payments", deadline=3, timeout=2)
    page = deadline("page", 1)
    run_on(clock)
    with payments:
        assert remaining() == 2
        clock.advance(2.5)

    assert get_timeout("payments").core.counts()["overrun"] == 1
    assert counts_of("payments") == {"success": 1}
    with page:
        clock.advance(1)
        with pytest.raises(DeadlineSpent), payments:
            pytest.fail("no time is left for the block")

    assert counts_of("payments")["rejected"] == 1
    with pytest.raises(RuntimeError, match="once"), page.guard() as guard, guard:
        pytest.fail("a guard is entered once")


def test_a_guard_may_be_left_elsewhere(clock: FakeClock) -> None:
    """A framework that leaves a block in another context breaks nothing."""
    guard = deadline("page", 1).guard()
    run_on(clock)
    contextvars.copy_context().run(guard.__enter__)
    guard.__exit__(None, None, None)
    assert remaining() == math.inf
    assert counts_of("page") == {"success": 1}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("how", ["entered", "inside another", "decorated"])
def test_a_deadline_does_not_stay_where_it_was_entered(
    clock: FakeClock, how: str, *, asynchronous: bool
) -> None:
    """Left elsewhere, it is over in the long-lived context that it was entered in."""
    page, outer = deadline("page", 1), deadline("outer", 60).guard()
    orders = deadline("orders", 5)
    run_on(clock)
    worker = contextvars.copy_context()
    guard = page.guard()

    def enter() -> None:
        if how == "inside another":
            outer.__enter__()

        guard.__enter__()
        assert remaining() == 1.0

    async def main() -> None:
        worker.run(enter)

    asyncio.run(main()) if asynchronous else worker.run(enter)
    guard.__exit__(None, None, None)
    clock.advance(2)
    left_s = 58.0 if how == "inside another" else math.inf
    if how == "decorated":
        assert worker.run(orders.call, Dependency()) == "answer"

    assert worker.run(remaining) == left_s
    assert worker.run(orders.call, Dependency()) == "answer"
    if how == "inside another":
        worker.run(outer.__exit__, None, None, None)

    assert worker.run(remaining) == math.inf


def test_a_task_that_entered_a_deadline_goes_on_without_it(clock: FakeClock) -> None:
    """A task that lives on, and one that leaves the block for it."""
    page = deadline("page", 1)
    run_on(clock)

    async def main() -> None:
        guard, left = page.guard(), asyncio.Event()

        async def worker() -> float:
            await guard.__aenter__()
            await left.wait()
            clock.advance(2)
            return remaining()

        task = asyncio.create_task(worker())
        await asyncio.sleep(0)
        await guard.__aexit__(None, None, None)
        left.set()
        assert await task == math.inf

    asyncio.run(main())


def test_an_earlier_deadline_around_stays_when_a_block_is_left_elsewhere(
    clock: FakeClock,
) -> None:
    """Only the block's own goes: what the caller put there holds."""
    guard = deadline("page", 60).guard()
    run_on(clock)

    def enter() -> None:
        in_force.put(clock.monotonic() + 1)
        guard.__enter__()

    worker = contextvars.copy_context()
    worker.run(enter)
    guard.__exit__(None, None, None)
    assert worker.run(remaining) == 1.0


def test_observing_refuses_nothing(clock: FakeClock) -> None:
    """A call whose time is spent already is counted once, and made."""
    orders = deadline("orders", 5)

    @deadline("page", 1)
    def page() -> object:
        clock.advance(2)
        return orders.call(Dependency())

    run_on(clock)
    apply("orders", {"deadline_mode": "observe"})
    assert page() == "answer"
    assert counts_of("orders") == {"observed": 1}


def test_what_is_shielded_is_finished(clock: FakeClock) -> None:
    """A deadline that passes meanwhile waits for the end, then cancels at once."""
    steps: list[str] = []

    @deadline("page", 1)
    async def page() -> None:
        with shielded():
            assert remaining() == math.inf
            await asyncio.sleep(5)
            steps.append("committed")

        assert remaining() == 0.0
        steps.append("goes on until it waits")
        await asyncio.sleep(0)
        await asyncio.sleep(60)
        pytest.fail("the deadline has passed")

    run_on(clock)
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded):
        run(clock, page())

    assert clock.monotonic() - began == pytest.approx(5)
    assert steps == ["committed", "goes on until it waits"]
    assert counts_of("page") == {"timed_out": 1}


def test_what_ends_with_its_shield_has_answered(clock: FakeClock) -> None:
    """Nothing is left that would cancel the task after the call."""

    @deadline("page", 1)
    async def page() -> str:
        async with shielded():
            await asyncio.sleep(5)

        return "late"

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert await page() == "late"
        await asyncio.sleep(60)
        assert task.cancelling() == 0

    run_on(clock)
    run(clock, main())
    assert counts_of("page") == {"overrun": 1}


def test_a_shield_is_for_what_began_before_it(clock: FakeClock) -> None:
    """A time-out within holds, foreign cancellations pass, and shields nest."""
    inner = timeout("inner", 1)

    @deadline("page", 2)
    async def page() -> None:
        with shielded():
            with shielded(), pytest.raises(AttemptTimeout, match="inner"):
                await inner(nap)(60)

            await asyncio.sleep(5)

        await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await page()

        task = asyncio.create_task(page())
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_on(clock)
    run(clock, main())
    assert counts_of("page") == {"timed_out": 1, "cancelled": 1}


def test_a_plain_section_is_shielded(clock: FakeClock) -> None:
    """Without an event loop too, what is inside knows of no bound."""

    @deadline("page", 1)
    def page() -> list[float]:
        clock.advance(2)
        with shielded() as shield:
            seen = [remaining(), timeout("rollback", 5).call(remaining)]

        with pytest.raises(RuntimeError, match="once"), shield:
            pytest.fail("a shield is entered once")

        return [*seen, remaining()]

    run_on(clock)
    assert page()[0] == math.inf
    assert counts_of("page") == {"overrun": 1}


def test_what_cannot_be_meant_is_refused() -> None:
    """A deadline without a time is an error where it is declared."""
    with pytest.raises(DeclarationError, match="no time"):
        deadline("payments")  # type: ignore[call-overload]

    with pytest.raises(DeclarationError, match="within="):
        deadline("payments", -1)

    with pytest.raises(KeyError):
        get_deadline("payments")


def test_waits_for_admission_end_with_it(clock: FakeClock) -> None:
    """A place in a queue is given up when the deadline comes, and none is lost."""
    payments = policy(
        "payments",
        deadline=3,
        timeout=2,
        bulkhead=svcready.bulkhead(max_concurrent=1, max_queue=5, max_wait=60),
    )
    call = payments(nap)

    async def main() -> None:
        page = asyncio.create_task(held())
        await asyncio.sleep(0)
        began = clock.monotonic()
        with pytest.raises(DeadlineSpent):
            await call(1)

        assert clock.monotonic() - began == pytest.approx(3, abs=0.01)
        assert counts_of("payments") == {"timed_out": 1}
        await page
        assert await call(1) == "answer"

    async def held() -> None:
        async with get_bulkhead("payments"):
            await asyncio.sleep(10)

    run_on(clock)
    run(clock, main())


@pytest.mark.parametrize("where", ["started", "running", None])
def test_a_loop_that_outlives_the_request(where: str | None, clock: FakeClock) -> None:
    """Started in a request it has the request's deadline for ever, unless shielded."""
    refresh = policy("prices", deadline=5, timeout=2, retry=OSError, breaker=True)(nap)
    ends: list[object] = []

    async def run() -> None:
        for _ in range(3):
            await asyncio.sleep(10)
            try:
                with shielded() if where == "running" else nullcontext():
                    await refresh(1)
                    ends.append(remaining())
            except DeadlineSpent as error:
                ends.append(type(error))

    @deadline("page", 3)
    async def page() -> asyncio.Task[None]:
        with shielded() if where == "started" else nullcontext():
            return asyncio.create_task(run())

    async def serve() -> None:
        await (await page())

    run_on(clock)
    clock.run(serve())
    assert ends == [DeadlineSpent if where is None else math.inf] * 3
