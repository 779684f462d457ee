from __future__ import annotations

import asyncio
import threading
import types
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from svcready.errors import DeclarationError
from svcready.metrics import Timer, timer
from svcready.metrics._model import Distribution

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from svcready.metrics import TimerChild
    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock
    from tests.conftest import Faults

BUCKETS = (1.0, 10.0, 100.0)


@pytest.fixture(params=["plain", "labelled"])
def checkout(
    request: pytest.FixtureRequest, make_pillar: Callable[..., MetricsPillar]
) -> Timer:
    """A timer without labels, and a child of one with, which does the same."""
    make_pillar()
    if request.param == "plain":
        return timer("checkout", "help", buckets=BUCKETS)

    labelled = timer("checkout", "help", labels=("kind",), buckets=BUCKETS)
    return cast("Timer", labelled.labels("a"))


def seen(timing: Timer | TimerChild) -> tuple[int, float]:
    """How many durations were recorded, and their sum."""
    if isinstance(timing, Timer):
        (point,) = timing.read().points
    else:
        point = timing.read(("a",))

    assert isinstance(point, Distribution)
    return point.observations, point.sum


def test_a_function_is_timed(checkout: Timer, clock: FakeClock) -> None:
    """It returns what it returned, under its own name, and its time is recorded."""

    @checkout
    def work(seconds: float, *, answer: str) -> str:
        """Wait."""
        clock.sleep(seconds)
        return answer

    assert work(3, answer="yes") == "yes"
    assert work.__doc__ == "Wait."
    assert seen(checkout) == (1, 3.0)


def test_an_error_is_timed_and_passes(checkout: Timer, clock: FakeClock) -> None:
    """A call that fails took time as well; its error is the application's."""

    @checkout
    def work() -> None:
        clock.sleep(2)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        work()

    assert seen(checkout) == (1, 2.0)


def test_a_coroutine_is_timed_until_it_ends(checkout: Timer, clock: FakeClock) -> None:
    """Making it takes no time; awaiting it does."""

    @checkout
    async def work() -> str:
        await clock.sleep_async(200)
        return "done"

    made = work()
    assert seen(checkout) == (0, 0.0)
    assert asyncio.run(made) == "done"
    assert seen(checkout) == (1, 200.0)


def test_a_cancelled_coroutine_is_timed(checkout: Timer, clock: FakeClock) -> None:
    """Cancellation passes through and counts."""

    @checkout
    async def work() -> None:
        clock.advance(5)
        await asyncio.Event().wait()

    async def run() -> bool:
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())

    assert seen(checkout) == (1, 5.0)


def test_a_generator_is_timed_until_its_end(checkout: Timer, clock: FakeClock) -> None:
    """From the first step to exhaustion; sends, throws and the result pass through."""

    @checkout
    def work() -> Generator[str, str, str]:
        clock.sleep(1)
        try:
            got = yield "first"
        except ValueError:
            got = yield "caught"

        clock.sleep(2)
        return got

    steps = work()
    clock.advance(50)  # not begun yet
    assert next(steps) == "first"
    assert steps.throw(ValueError()) == "caught"
    with pytest.raises(StopIteration) as end:
        steps.send("mine")

    assert end.value.value == "mine"
    assert seen(checkout) == (1, 3.0)


def test_a_generator_that_is_closed_is_timed(checkout: Timer, clock: FakeClock) -> None:
    """Closing it early ends it."""
    closed = []

    @checkout
    def work() -> Iterator[int]:
        try:
            clock.sleep(4)
            yield 1
        finally:
            closed.append(True)

    for _ in work():
        break

    assert closed == [True]
    assert seen(checkout) == (1, 4.0)


def test_an_async_generator_is_timed_until_its_end(
    checkout: Timer, clock: FakeClock
) -> None:
    """Sends, throws and early closing reach the application's generator."""
    closed = []

    @checkout
    async def work() -> AsyncGenerator[str, str]:
        try:
            await clock.sleep_async(1)
            got = yield "first"
            try:
                yield got
            except ValueError:
                yield "caught"

            await clock.sleep_async(2)
        finally:
            closed.append(True)

    async def whole() -> list[str]:
        steps = work()
        said = [await anext(steps), await steps.asend("mine")]
        said.append(await steps.athrow(ValueError()))
        said.extend([item async for item in steps])
        return said

    async def part() -> None:
        steps = work()
        assert await anext(steps) == "first"
        before = len(closed)
        await steps.aclose()
        assert len(closed) == before + 1  # at once, not when the loop ends

    assert asyncio.run(whole()) == ["first", "mine", "caught"]
    assert seen(checkout) == (1, 3.0)
    asyncio.run(part())
    assert closed == [True, True]
    assert seen(checkout) == (2, 4.0)


def test_an_async_generator_that_fails_is_timed(
    checkout: Timer, clock: FakeClock
) -> None:
    """Its error passes unchanged."""

    @checkout
    async def work() -> AsyncGenerator[int, None]:
        yield 1
        clock.advance(7)
        raise KeyError("mine")

    async def run() -> None:
        async for _ in work():
            pass

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(run())

    assert seen(checkout) == (1, 7.0)


def test_methods_partials_and_callable_objects_are_told_apart(
    checkout: Timer, clock: FakeClock
) -> None:
    """What finally runs decides how it is timed."""

    class Worker:
        @checkout
        async def method(self, seconds: float) -> None:
            await clock.sleep_async(seconds)

        async def __call__(self, seconds: float) -> None:
            await clock.sleep_async(seconds)

    async def function(seconds: float) -> None:
        await clock.sleep_async(seconds)

    asyncio.run(Worker().method(1))
    asyncio.run(checkout(partial(function, 10))())
    asyncio.run(checkout(Worker())(100))
    assert checkout(len)([1, 2]) == 2

    assert seen(checkout) == (4, 111.0)


def test_a_block_is_timed_errors_included(checkout: Timer, clock: FakeClock) -> None:
    """`with` records when the block is left, however."""
    with checkout:
        clock.sleep(1)

    def fail() -> None:
        with checkout:
            clock.sleep(2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert seen(checkout) == (2, 3.0)


def test_a_block_can_hold_itself(checkout: Timer, clock: FakeClock) -> None:
    """Entered again inside, the inner and the outer time are both right."""

    def nested(depth: int) -> None:
        with checkout:
            clock.sleep(1)
            with checkout:
                clock.sleep(10)

            if depth:
                nested(depth - 1)

    nested(1)

    # Two inner blocks of 10, one call of 11, and one of 11 that holds the other.
    assert seen(checkout) == (4, 10 + 10 + 11 + 22)


def test_tasks_do_not_mix_their_blocks(checkout: Timer, clock: FakeClock) -> None:
    """Blocks that overlap on one event loop each get their own time."""

    async def work(begin: asyncio.Event, end: asyncio.Event) -> None:
        await begin.wait()
        with checkout:
            await end.wait()

    async def run() -> None:
        first, second, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        late = asyncio.Event()
        tasks = [
            asyncio.ensure_future(work(first, ended)),
            asyncio.ensure_future(work(second, late)),
        ]
        for event, seconds in ((first, 1), (second, 2), (ended, 4), (late, 0)):
            event.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clock.advance(seconds)

        await asyncio.gather(*tasks)

    asyncio.run(run())

    # The first from its begin to `ended` is 1 + 2, the second to `late` 2 + 4.
    assert seen(checkout) == (2, 3 + 6)


def test_a_block_in_a_generator_may_be_left_in_another_context(
    checkout: Timer, clock: FakeClock
) -> None:
    """As frameworks do with dependencies: entered in one thread, left in the next."""

    def dependency() -> Iterator[None]:
        with checkout:
            yield

    held = dependency()
    for _ in range(2):
        thread = threading.Thread(target=lambda: next(held, None))
        thread.start()
        thread.join()
        clock.advance(8)

    assert seen(checkout) == (1, 8.0)


def test_generators_that_interleave_do_not_mix_their_blocks(
    checkout: Timer, clock: FakeClock
) -> None:
    """The first to enter may be the first to leave."""

    def block() -> Iterator[None]:
        with checkout:
            yield

    first, second = block(), block()
    next(first)
    clock.advance(1)
    next(second)
    clock.advance(2)
    next(first, None)  # 3 s
    clock.advance(100)
    next(second, None)  # 102 s

    point = seen(checkout)
    assert point == (2, 105.0)


def test_exit_stacks_and_context_managers_work(
    checkout: Timer, clock: FakeClock
) -> None:
    """A timer can be entered by what contextlib makes."""

    @contextmanager
    def wrapped() -> Iterator[None]:
        with checkout:
            yield

    async def run() -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(checkout)
            clock.advance(10)

    with ExitStack() as stack:
        stack.enter_context(checkout)
        clock.advance(1)
        stack.enter_context(checkout)
        clock.advance(1)

    asyncio.run(run())
    with wrapped():
        clock.advance(100)

    assert seen(checkout) == (4, 2 + 1 + 10 + 100)


def test_a_block_whose_start_is_unknown_records_nothing(
    checkout: Timer, clock: FakeClock
) -> None:
    """Moved to another stack, its start is lost; that is no error."""
    with ExitStack() as stack:
        stack.enter_context(checkout)
        other = stack.pop_all()

    other.close()

    assert seen(checkout) == (0, 0.0)


def test_a_timer_with_labels_can_not_decorate() -> None:
    """It would not know the series; that is wrong code and raises at declaration."""
    checkout = timer("checkout", "help", labels=("kind",))

    with pytest.raises(DeclarationError, match="labels"):
        checkout(len)


def test_a_timer_with_labels_can_not_time_a_block(faults: Faults) -> None:
    """That is found out when the block runs, so it is reported and not raised."""
    with timer("checkout", "help", labels=("kind",)):
        pass

    assert "labels(kind)" in str(faults.claim("metrics"))


def test_an_old_style_coroutine_is_timed(checkout: Timer, clock: FakeClock) -> None:
    """`types.coroutine` and a marked plain function are awaited as well."""

    @checkout
    @types.coroutine
    def old() -> Generator[None, None, int]:
        clock.advance(3)
        yield
        return 1

    async def inner() -> int:
        clock.advance(4)
        return 2

    def marked() -> object:
        return inner()

    marked._is_coroutine_marker = object()  # type: ignore[attr-defined]

    async def run() -> tuple[int, object]:
        return await old(), await checkout(marked)()  # type: ignore[misc]

    assert asyncio.run(run()) == (1, 2)
    assert seen(checkout) == (2, 7.0)


def test_seconds_can_be_observed(checkout: Timer) -> None:
    """A duration measured elsewhere is recorded as it is."""
    checkout.observe(12.5)

    assert seen(checkout) == (1, 12.5)
