"""Time-outs: cancelled by their own timer, and by nobody else's."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import math
import weakref
from collections.abc import AsyncGenerator, Awaitable, Generator

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
    get_timeout,
    policy,
    remaining,
    retry,
    timeout,
)
from svcready.resilience._pillar import apply
from svcready.resilience._timing._alarms import Queue, alarms_of
from svcready.resilience._timing._timer import Timer
from svcready.testing import FakeClock
from tests.resilience.peers import run_on
from tests.resilience.timed_loop import run


def timer_of(name: str) -> Timer:
    """Return the state behind the time-out called *name*."""
    return get_timeout(name).core


def counts_of(name: str) -> dict[str, int]:
    """Return what the time-out called *name* has counted, zeros left out."""
    return {what: total for what, total in timer_of(name).counts().items() if total}


def refuse() -> int:
    """Fail."""
    raise ConnectionError


async def nap(seconds: float) -> str:
    """Take *seconds* of the loop's time."""
    await asyncio.sleep(seconds)
    return "answer"


def test_a_coroutine_is_cancelled_in_time(clock: FakeClock) -> None:
    """It ends when its time is over, by an error of our own from the cancellation."""
    ended: list[float] = []

    @svcready.timeout("payments", 2)
    async def pay() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(clock.monotonic())

    run_on(clock)
    began = clock.monotonic()
    with pytest.raises(AttemptTimeout, match="payments: no end within 2 s") as caught:
        run(clock, pay())

    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert ended == [pytest.approx(began + 2)]
    assert counts_of("payments") == {"timed_out": 1}


def test_what_ends_in_time_is_as_it_was(clock: FakeClock) -> None:
    """Answers and errors pass, the task goes on, nothing is left to cancel it."""

    @svcready.timeout("payments", 2)
    async def pay(error: Exception | None = None) -> str:
        await asyncio.sleep(1)
        if error is not None:
            raise error

        return "paid"

    async def main() -> str:
        assert await pay() == "paid"
        with pytest.raises(TimeoutError, match="of its own"):
            await pay(TimeoutError("of its own"))

        await asyncio.sleep(60)
        return await pay()

    run_on(clock)
    assert run(clock, main()) == "paid"
    assert counts_of("payments") == {"success": 2, "failure": 1}


def test_a_foreign_cancellation_passes(clock: FakeClock) -> None:
    """Whoever cancels the task sees it cancelled, and no time-out is counted."""
    call = timeout("payments", 2)(nap)

    async def main() -> None:
        task = asyncio.create_task(call(60))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert task.cancelled()

    run_on(clock)
    run(clock, main())
    assert counts_of("payments") == {"cancelled": 1}


@pytest.mark.parametrize("first", ["timer", "other"])
def test_of_two_cancellations_at_once_the_foreign_one_wins(
    clock: FakeClock, first: str
) -> None:
    """In whichever order they come, who cancelled the task hears of no time-out."""
    call = timeout("payments", 2)(nap)

    async def main() -> None:
        if first == "timer":
            task = asyncio.create_task(call(60))
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(2, task.cancel)
        else:
            task = asyncio.create_task(call(60))
            asyncio.get_running_loop().call_later(2, task.cancel)

        with pytest.raises(asyncio.CancelledError):
            await task

    run_on(clock)
    run(clock, main())
    assert counts_of("payments") == {"cancelled": 1}


def test_a_task_that_is_being_cancelled_can_still_time_out(clock: FakeClock) -> None:
    """In a clean-up after a cancellation a time-out is a time-out."""
    call = timeout("payments", 2)(nap)
    seen: list[BaseException] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            try:
                await call(60)
            except AttemptTimeout as error:
                seen.append(error)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_on(clock)
    run(clock, main())
    assert len(seen) == 1


def test_a_swallowed_cancellation_is_a_late_answer(clock: FakeClock) -> None:
    """What answers although it was cancelled has answered, and the task is unharmed."""

    @svcready.timeout("payments", 2)
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)

        return "late"

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert await stubborn() == "late"
        assert task.cancelling() == 0
        async with asyncio.timeout(5):
            await asyncio.sleep(1)

    run_on(clock)
    run(clock, main())
    assert counts_of("payments") == {"overrun": 1}


def test_an_error_after_the_time_is_the_calls_own(clock: FakeClock) -> None:
    """A clean-up that fails after the cancellation tells what it failed of."""

    @svcready.timeout("payments", 2)
    async def clumsy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("rollback failed")

    run_on(clock)
    with pytest.raises(OSError, match="rollback failed"):
        run(clock, clumsy())

    assert counts_of("payments") == {"overrun": 1}


def test_nested_times_are_told_apart(clock: FakeClock) -> None:
    """The inner expires first: the outer goes on. The outer first: it is its error."""
    inner, outer = timeout("inner", 2), timeout("outer", 3)

    @outer
    async def patient() -> str:
        with pytest.raises(AttemptTimeout, match="inner"):
            await inner(nap)(60)

        return await nap(0.5)

    @outer
    async def hasty() -> str:
        await nap(2)
        return await inner(nap)(60)

    async def main() -> None:
        assert await patient() == "answer"
        with pytest.raises(AttemptTimeout, match="outer"):
            await hasty()

    run_on(clock)
    run(clock, main())
    assert counts_of("inner") == {"timed_out": 1, "cancelled": 1}
    assert counts_of("outer") == {"success": 1, "timed_out": 1}


def test_a_shorter_deadline_is_no_time_out_of_the_attempt(clock: FakeClock) -> None:
    """What the caller's deadline cuts off says so, and is not held against the call."""
    call = timeout("payments", 10)(nap)

    @deadline("page", 1)
    async def page() -> str:
        assert remaining() == pytest.approx(1)
        return await asyncio.create_task(call(60))

    run_on(clock)
    with pytest.raises(DeadlineExceeded):
        run(clock, page())

    assert counts_of("payments") == {"cancelled": 1}


def test_the_breaker_hears_whose_time_it_was(clock: FakeClock) -> None:
    """An attempt's own time-out is a failure, a caller's deadline is ignored."""
    payments = policy(
        "payments", timeout=2, breaker=circuit_breaker(consecutive_failures=1)
    )
    call = payments(nap)
    page = deadline("page", 1)

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await page.call(call, 60)

        assert circuit_breaker("payments").state == "closed"
        with pytest.raises(AttemptTimeout):
            await call(60)

        assert circuit_breaker("payments").state == "open"

    run_on(clock)
    run(clock, main())


def test_remaining_tells_the_nearest_bound(clock: FakeClock) -> None:
    """In an attempt it is the attempt's time, in the last one what is left for all."""
    seen: list[float] = []

    @svcready.deadline("payments", 5)
    @svcready.retry("payments", on=OSError, wait_base=0.001, wait_max=0.001)
    @svcready.timeout("payments", 2)
    def pay() -> None:
        seen.append(remaining())
        clock.advance(1.75)
        raise ConnectionError

    assert remaining() == math.inf
    run_on(clock)
    with pytest.raises(ConnectionError):
        pay()

    assert seen == [pytest.approx(expected, abs=0.01) for expected in (2, 2, 1.5)]
    assert remaining() == math.inf


def test_a_plain_function_is_late_and_has_answered(clock: FakeClock) -> None:
    """Nothing interrupts it: its answer and its error are its own, counted as late."""

    @svcready.timeout("payments", 2)
    def slow(fails: bool) -> str:
        clock.advance(3)
        if fails:
            raise ConnectionError

        return "late"

    run_on(clock)
    assert slow(fails=False) == "late"
    with pytest.raises(ConnectionError):
        slow(fails=True)

    assert counts_of("payments") == {"overrun": 2}


def test_nothing_begins_after_the_deadline(clock: FakeClock) -> None:
    """No time left means a refusal, for functions, coroutines and streams alike."""
    bounded = timeout("payments", 2)
    called: list[str] = []

    def plain() -> None:
        called.append("plain")

    async def coroutine() -> None:
        called.append("coroutine")

    def stream() -> Generator[int, None, None]:
        called.append("stream")
        yield 1

    async def stream_async() -> AsyncGenerator[int, None]:
        called.append("stream_async")
        yield 1

    @svcready.deadline("page", 1)
    async def page() -> None:
        clock.advance(1)
        with pytest.raises(DeadlineSpent, match="payments: spent"):
            bounded(plain)()

        with pytest.raises(DeadlineSpent):
            await bounded(coroutine)()

        with pytest.raises(DeadlineSpent):
            next(bounded(stream)())

        with pytest.raises(DeadlineSpent):
            await anext(bounded(stream_async)())

    run_on(clock)
    run(clock, page())
    assert called == []
    assert counts_of("payments") == {"rejected": 4}


def test_what_a_function_returns_is_awaited_in_its_time(clock: FakeClock) -> None:
    """Lambdas, partials, methods and callable objects are bounded as coroutines are."""

    class Client:
        @svcready.timeout("method", 2)
        async def get(self, seconds: float) -> str:
            return await nap(seconds)

        def __call__(self, seconds: float) -> Awaitable[str]:
            return nap(seconds)

        @svcready.timeout("static", 2)
        @staticmethod
        async def ask(seconds: float) -> str:
            return await nap(seconds)

    bounded = timeout("payments", 2)
    ways = [
        bounded(lambda seconds: nap(seconds)),
        bounded(functools.partial(nap)),
        bounded(Client()),
        Client().get,
        Client.ask,
    ]

    async def main() -> None:
        for way in ways:
            began = clock.monotonic()
            with pytest.raises(AttemptTimeout):
                await way(60)

            assert clock.monotonic() - began == pytest.approx(2)

        assert await ways[0](1) == "answer"
        assert await bounded.call(nap, 1) == "answer"

    run_on(clock)
    run(clock, main())


def test_the_calls_own_work_counts_before_it_is_awaited(clock: FakeClock) -> None:
    """A function that works a while and then returns an awaitable has one time."""

    @svcready.timeout("payments", 2)
    def begin() -> Awaitable[str]:
        clock.advance(1.5)
        assert remaining() == pytest.approx(0.5)
        return nap(1)

    async def main() -> None:
        pending = begin()
        clock.advance(10)  # nobody works on it meanwhile
        with pytest.raises(AttemptTimeout):
            await pending

    run_on(clock)
    run(clock, main())


def test_what_is_awaited_too_late_is_not_begun(clock: FakeClock) -> None:
    """An awaitable whose time is over is closed, so that nobody complains of it."""
    bounded = timeout("payments", 2)

    class Pending:
        def __await__(self) -> Generator[None, None, None]:
            pytest.fail("its time is over")

    @deadline("page", 1)
    async def page() -> None:
        for pending in (bounded.call(lambda: nap(1)), bounded.call(Pending)):
            clock.advance(2)
            with pytest.raises(DeadlineSpent):
                await pending

            clock.advance(-2)

    run_on(clock)
    run(clock, page())
    assert counts_of("payments") == {"rejected": 2}


def test_awaitables_fail_and_pass_as_they_are(clock: FakeClock) -> None:
    """Errors are the call's own, also where the time-out takes no part."""
    bounded = timeout("payments", 2)

    async def fail() -> None:
        raise ConnectionError

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await bounded.call(lambda: fail())

    run_on(clock)
    run(clock, main())
    assert counts_of("payments") == {"failure": 1}
    apply("payments", {"mode": "off"})
    run(clock, main())
    assert counts_of("payments") == {"failure": 1}


def test_streams_fail_as_they_do(clock: FakeClock) -> None:
    """An error before the first item gets out, and is counted."""
    bounded = timeout("feed", 2)

    @bounded
    def items() -> Generator[int, None, None]:
        yield refuse()

    @bounded
    async def feed() -> AsyncGenerator[int, None]:
        yield refuse()

    async def main() -> None:
        with pytest.raises(ConnectionError):
            await anext(feed())

    run_on(clock)
    run(clock, main())
    with pytest.raises(ConnectionError):
        next(items())

    assert counts_of("feed") == {"failure": 2}


def test_a_stream_is_bounded_until_its_first_item(clock: FakeClock) -> None:
    """Then the consumer has all time; sent values, throws and returns get through."""
    bounded = timeout("feed", 2)

    @bounded
    def items(late: float) -> Generator[object, object, str]:
        clock.advance(late)
        got = yield remaining()
        try:
            yield got
        except KeyError:
            return "thrown"

        return "done"

    @bounded
    async def feed(late: float) -> AsyncGenerator[object, object]:
        await asyncio.sleep(late)
        got = yield remaining()
        await asyncio.sleep(60)
        yield got

    async def main() -> list[object]:
        with pytest.raises(AttemptTimeout):
            await anext(feed(3))

        source = feed(1)
        seen = [await anext(source), await source.asend("sent")]
        return [*seen, *[item async for item in source]]

    run_on(clock)
    stream = items(1)
    assert next(stream) == pytest.approx(1)
    assert remaining() == math.inf
    assert stream.send("sent") == "sent"
    with pytest.raises(StopIteration, match="thrown"):
        stream.throw(KeyError())

    assert list(items(3))
    assert run(clock, main()) == [pytest.approx(1), "sent"]
    assert counts_of("feed") == {"success": 2, "overrun": 1, "timed_out": 1}


def test_empty_streams_are_successes(clock: FakeClock) -> None:
    """A stream without items has ended in time."""
    bounded = timeout("feed", 2)

    @bounded
    def items() -> Generator[int, None, str]:
        yield from ()
        return "none"

    @bounded
    async def feed() -> AsyncGenerator[int, None]:
        for item in range(0):
            yield item

    async def main() -> list[int]:
        return [item async for item in feed()]

    run_on(clock)
    assert list(items()) == []
    assert run(clock, main()) == []
    assert counts_of("feed") == {"success": 2}


def test_observe_counts_and_changes_nothing(clock: FakeClock) -> None:
    """In `observe` late calls end as they would, and nobody inside knows of a bound."""
    bounded = timeout("payments", 2)

    @bounded
    async def pay() -> float:
        await asyncio.sleep(3)
        return remaining()

    @bounded
    def plain() -> float:
        clock.advance(3)
        return remaining()

    run_on(clock)
    assert apply("payments", {"timeout_mode": "observe"}) == ()
    assert run(clock, pay()) == math.inf
    assert plain() == math.inf
    assert counts_of("payments") == {"observed": 2}


@pytest.mark.parametrize("values", [{"timeout_mode": "off"}, {"timeout_s": 0}])
def test_off_takes_no_part(clock: FakeClock, values: dict[str, object]) -> None:
    """Switched off, or without a bound, it neither bounds nor counts."""
    call = timeout("payments", 2)(nap)
    run_on(clock)
    assert apply("payments", values) == ()
    assert run(clock, call(60)) == "answer"
    assert counts_of("payments") == {}


def test_an_operators_time_holds_for_what_begins_then(clock: FakeClock) -> None:
    """A value changes while calls run: each keeps the time that it began with."""
    call = timeout("payments", 10)(nap)

    async def main() -> list[str]:
        async def ended(seconds: float) -> str:
            began = clock.monotonic()
            with pytest.raises(AttemptTimeout):
                await call(seconds)

            return f"{clock.monotonic() - began:.3g}"

        first = asyncio.create_task(ended(60))
        await asyncio.sleep(0)
        apply("payments", {"timeout_s": 2})
        second = asyncio.create_task(ended(60))
        return [await first, await second]

    run_on(clock)
    assert run(clock, main()) == ["10", "2"]


def test_a_jump_of_the_wall_clock_changes_nothing(clock: FakeClock) -> None:
    """Only monotonic time counts."""
    call = timeout("payments", 2)(nap)

    async def main() -> None:
        task = asyncio.create_task(call(1))
        await asyncio.sleep(0.5)
        clock.set_wall(clock.time_ns() + 3_600_000_000_000)
        assert await task == "answer"
        clock.set_wall(clock.time_ns() - 7_200_000_000_000)
        with pytest.raises(AttemptTimeout):
            await call(3)

    run_on(clock)
    run(clock, main())


def test_calls_leave_nothing_behind(clock: FakeClock) -> None:
    """10 000 calls, failures among them: no entry, and one timer for them all."""

    @svcready.timeout("payments", 30)
    async def pay(order: int) -> int:
        await asyncio.sleep(0)
        if order % 7 == 0:
            raise OSError

        return order

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for batch in range(100):
            orders = range(batch * 100, batch * 100 + 100)
            await asyncio.gather(*map(pay, orders), return_exceptions=True)

        (queue,) = alarms_of(loop).queues.values()
        assert queue.entries == {}
        assert len(loop._scheduled) == 1  # type: ignore[attr-defined]
        assert alarms_of(loop).held == {}
        del queue
        await asyncio.sleep(60)
        gc.collect()
        assert loop._scheduled == []  # type: ignore[attr-defined]
        assert not alarms_of(loop).queues

    run_on(clock)
    run(clock, main())


def test_timers_go_with_their_loop(clock: FakeClock) -> None:
    """A loop that closes with calls under way is collected, its timers with it."""
    call = timeout("payments", 30)(nap)
    run_on(clock)
    loop = asyncio.new_event_loop()
    task: asyncio.Task[str] | None = loop.create_task(call(60))
    loop.run_until_complete(asyncio.sleep(0))
    (queue,) = alarms_of(loop).queues.values()
    gone: list[weakref.ref[object]] = [weakref.ref(loop), weakref.ref(queue)]
    assert len(queue.entries) == 1
    loop.close()
    task._log_destroy_pending = False  # type: ignore[union-attr]
    del loop, task, queue
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert run(clock, call(1)) == "answer"


def test_an_early_timer_is_set_again(clock: FakeClock) -> None:
    """A loop that counts milliseconds rings a little early, and cuts nobody short."""

    async def main() -> None:
        alarms = alarms_of(asyncio.get_running_loop())
        queue = Queue(alarms, 2.0, clock.monotonic)
        task = asyncio.create_task(nap(60))
        queue.entries[1] = (clock.monotonic() + 2, task)
        queue.arm(1.9995)
        await asyncio.sleep(1.9999)
        assert not task.cancelling()
        await asyncio.sleep(0.01)
        assert task.cancelled()

    run(clock, main())


def test_there_must_be_a_task() -> None:
    """Driven without an event loop a coroutine says so, and nothing is left over."""
    call = timeout("payments", 2)(nap)
    pending = call(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        pending.send(None)


def test_what_cannot_be_meant_is_refused() -> None:
    """A time-out without a time, or with none that is one, is an error where it is."""
    with pytest.raises(DeclarationError, match="no time"):
        timeout("payments")  # type: ignore[call-overload]

    with pytest.raises(DeclarationError, match="after="):
        timeout("payments", "soon")

    with pytest.raises(DeclarationError, match="after="):
        timeout("payments", 0)

    with pytest.raises(DeclarationError, match="or after=2"):
        timeout(2)  # type: ignore[call-overload]

    with pytest.raises(DeclarationError, match="threads="):
        timeout("payments", 2, threads=0.5)  # type: ignore[call-overload]

    timeout("payments", "2s")
    assert timeout("payments", 2).name == "payments"
    with pytest.raises(DeclarationError, match=r"test_timeout\.py.*test_timeout\.py"):
        timeout("payments", 3)

    with pytest.raises(KeyError):
        get_timeout("orders")


def test_retries_meet_a_time_each(clock: FakeClock) -> None:
    """Each attempt has its own time, and a time-out can be what is retried."""
    calls: list[float] = []

    @retry("payments", on=TimeoutError, wait_base=0.01, wait_max=0.01)
    @timeout("payments", 2)
    async def pay() -> str:
        calls.append(clock.monotonic())
        await asyncio.sleep(60 if len(calls) < 3 else 1)
        return "paid"

    run_on(clock)
    assert run(clock, pay()) == "paid"
    assert [later - sooner for sooner, later in itertools.pairwise(calls)] == [
        pytest.approx(2, abs=0.02)
    ] * 2
