"""Generators of both kinds: retried until their first item, settled at their end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Generator
from typing import ParamSpec, TypeVar

import pytest

from svcready.errors import CircuitOpen, DeadlineExceeded
from svcready.resilience import circuit_breaker, policy, retry
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, breaker_of, retrier_of, run_on

P = ParamSpec("P")
R = TypeVar("R")


def both(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate with the two of one name, fused."""
    return retry("payments", on=ConnectionError)(circuit_breaker("payments")(function))


def test_a_stream_is_begun_anew_until_its_first_item(clock: FakeClock) -> None:
    """Failures before the first item are retried."""
    dependency = Dependency(ConnectionError(), ConnectionError())

    @both
    def stream() -> Generator[object, None, str]:
        yield dependency()
        yield 2
        return "end"

    run_on(clock)

    def consume() -> Generator[object, None, str]:
        return (yield from stream())

    items = consume()
    assert [next(items), next(items)] == ["answer", 2]
    with pytest.raises(StopIteration) as stop:
        next(items)

    assert stop.value.value == "end"
    assert dependency.calls == 3
    assert breaker_of("payments").counts() == {"failure": 2, "success": 1}
    assert retrier_of("payments").counts() == {"success": 0, "recovered": 1}


def test_nothing_is_replayed(clock: FakeClock) -> None:
    """A failure after the first item goes to the consumer, and counts once."""
    begun = 0

    @both
    def stream() -> Generator[int, None, None]:
        nonlocal begun
        begun += 1
        yield 1
        raise ConnectionError

    run_on(clock)
    items = stream()
    assert next(items) == 1
    with pytest.raises(ConnectionError):
        next(items)

    assert begun == 1
    assert breaker_of("payments").counts() == {"failure": 1, "success": 0}


def test_an_empty_stream_is_a_success(clock: FakeClock) -> None:
    """A stream without items ends at once, counted."""

    @both
    def stream() -> Generator[int, None, str]:
        yield from ()
        return "nothing"

    run_on(clock)
    with pytest.raises(StopIteration) as stop:
        next(stream())

    assert stop.value.value == "nothing"
    assert breaker_of("payments").counts() == {"success": 1}


def test_a_consumer_that_stops_early_is_content(clock: FakeClock) -> None:
    """Closing a stream, or dropping it, closes the inner one and is a success."""
    closed = []

    @both
    def stream() -> Generator[int, None, None]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    run_on(clock)
    items = stream()
    next(items)
    items.close()
    dropped = stream()
    next(dropped)
    del dropped
    gc.collect()
    assert closed == [True, True]
    assert breaker_of("payments").counts() == {"success": 2}


def test_send_and_throw_reach_the_stream(clock: FakeClock) -> None:
    """What the consumer sends and throws arrives inside, from the first item on."""
    got: list[object] = []

    @both
    def stream() -> Generator[int, object, None]:
        item = 0
        while True:
            item += 1
            try:
                got.append((yield item))
            except KeyError as error:
                got.append(type(error))

    run_on(clock)
    items = stream()
    assert next(items) == 1
    assert items.send("a") == 2
    assert items.throw(KeyError("order")) == 3
    assert next(items) == 4
    assert items.send("b") == 5
    assert got == ["a", KeyError, None, "b"]
    with pytest.raises(LookupError):
        items.throw(LookupError())

    assert breaker_of("payments").counts() == {"ignored": 1, "success": 0}


def test_a_stream_may_end_by_what_it_gets(clock: FakeClock) -> None:
    """A stream that returns when it is sent or thrown something ends the whole."""

    @both
    def stream() -> Generator[int, object, str]:
        try:
            yield 1
        except KeyError:
            return "thrown"

        return "sent"

    run_on(clock)
    items = stream()
    next(items)
    with pytest.raises(StopIteration) as stop:
        items.send("a")

    assert stop.value.value == "sent"
    items = stream()
    next(items)
    with pytest.raises(StopIteration) as stop:
        items.throw(KeyError())

    assert stop.value.value == "thrown"

    assert breaker_of("payments").counts() == {"success": 2}


def test_a_stream_that_gives_up_raises_its_error(clock: FakeClock) -> None:
    """Out of attempts, the last error of the beginning goes to the consumer."""
    error = ConnectionError()

    dependency = Dependency(*[error] * 6)

    @both
    def stream() -> Generator[object, None, None]:
        yield dependency()

    @both
    async def other() -> AsyncGenerator[object, None]:
        yield dependency()

    run_on(clock)
    with pytest.raises(ConnectionError) as caught:
        next(stream())

    assert caught.value is error
    assert len(clock.sleeps) == 2

    async def main() -> None:
        await anext(other())

    with pytest.raises(ConnectionError):
        asyncio.run(main())

    assert len(clock.sleeps) == 4


def test_an_async_stream_may_end_by_what_it_gets(clock: FakeClock) -> None:
    """An async stream that returns when it is sent something ends the whole."""

    @both
    async def stream() -> AsyncGenerator[int, object]:
        yield 1

    run_on(clock)

    async def main() -> None:
        items = stream()
        await anext(items)
        with pytest.raises(StopAsyncIteration):
            await items.asend("a")

    asyncio.run(main())
    assert breaker_of("payments").counts() == {"success": 1}


def test_a_stream_holds_the_probe_as_long_as_it_gives(clock: FakeClock) -> None:
    """A probing stream that gives items keeps its place beyond the lease."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    clock.advance(10.0)

    @breaker
    def stream() -> Generator[int, None, None]:
        yield from range(5)

    for _ in stream():
        clock.advance(9.0)
        with pytest.raises(CircuitOpen) as refused:
            breaker.call(Dependency())

        assert refused.value.reason == "half_open"

    assert breaker.breaker.counts()["success"] == 1


def test_an_item_gives_a_probing_stream_its_whole_lease_again(
    clock: FakeClock,
) -> None:
    """Twice what an attempt may take, if that is more than the lease."""
    slow = policy(
        "payments",
        timeout=12,
        breaker=circuit_breaker(consecutive_failures=1, window=60),
    )
    run_on(clock)
    with pytest.raises(ConnectionError):
        slow.call(Dependency(ConnectionError()))

    clock.advance(10.0)

    @slow
    def stream() -> Generator[int, None, None]:
        yield from range(5)

    for _ in stream():
        clock.advance(20.0)
        with pytest.raises(CircuitOpen) as refused:
            slow.call(Dependency())

        assert refused.value.reason == "half_open"

    assert breaker_of("payments").counts()["success"] == 1


def test_only_the_way_to_the_first_item_can_be_slow(clock: FakeClock) -> None:
    """A consumer that takes its time does not make the dependency slow."""
    breaker = circuit_breaker("payments", slow_after=1.0)
    run_on(clock)

    @breaker
    def stream(wait: float) -> Generator[int, None, None]:
        clock.advance(wait)
        yield 1
        yield 2

    for wait in (0.5, 1.5):
        for _ in stream(wait):
            clock.advance(60.0)

    assert breaker.breaker.counts() == {"success": 1, "slow": 1}


def test_an_async_stream_is_begun_anew_until_its_first_item(clock: FakeClock) -> None:
    """Failures before the first item are retried, later ones go to the consumer."""
    dependency = Dependency(ConnectionError(), ConnectionError())

    @both
    async def stream(fails: bool) -> AsyncGenerator[object, None]:
        yield dependency()
        if fails:
            raise ConnectionError

        yield 2

    run_on(clock)

    async def consume(fails: bool) -> list[object]:
        seen = []
        try:
            async for item in stream(fails):
                seen.append(item)  # noqa: PERF401 - kept beyond a failure
        except ConnectionError:
            seen.append("failed")

        return seen

    assert asyncio.run(consume(False)) == ["answer", 2]
    assert asyncio.run(consume(True)) == ["answer", "failed"]
    assert dependency.calls == 4
    assert breaker_of("payments").counts() == {"failure": 3, "success": 1}


def test_an_async_stream_takes_what_is_sent_and_thrown(clock: FakeClock) -> None:
    """`asend`, `athrow` and `aclose` reach the stream through both layers."""
    got: list[object] = []

    @both
    async def stream() -> AsyncGenerator[int, object]:
        item = 0
        try:
            while True:
                item += 1
                try:
                    got.append((yield item))
                except KeyError as error:
                    got.append(type(error))
        finally:
            got.append("closed")

    run_on(clock)

    async def main() -> None:
        items = stream()
        assert await anext(items) == 1
        assert await items.asend("a") == 2
        assert await items.athrow(KeyError("order")) == 3
        await items.aclose()
        other = stream()
        await anext(other)
        with pytest.raises(LookupError):
            await other.athrow(LookupError())

    asyncio.run(main())
    assert got == ["a", KeyError, "closed", "closed"]
    assert breaker_of("payments").counts() == {"ignored": 1, "success": 1}


def test_an_async_stream_without_items(clock: FakeClock) -> None:
    """An async stream without items ends at once, counted."""

    @both
    async def stream() -> AsyncGenerator[int, None]:
        for item in tuple[int]():
            yield item

    run_on(clock)

    async def main() -> list[int]:
        return [item async for item in stream()]

    assert asyncio.run(main()) == []
    assert breaker_of("payments").counts() == {"success": 1}


def test_a_deadline_bounds_the_way_to_the_first_item() -> None:
    """A hanging beginning is cut off; a slow consumer is not."""

    @retry("payments", on=ConnectionError, deadline=0.05)
    async def stream(hangs: bool) -> AsyncGenerator[int, None]:
        if hangs:
            await asyncio.Event().wait()

        yield 1

    async def main() -> None:
        assert [item async for item in stream(False)] == [1]
        with pytest.raises(DeadlineExceeded):
            await anext(stream(True))

    asyncio.run(main())


def test_a_cancelled_async_stream_frees_the_probe(clock: FakeClock) -> None:
    """Cancelled before its first item, a probing stream decides nothing."""
    breaker = circuit_breaker("payments", consecutive_failures=1)
    run_on(clock)
    with pytest.raises(ConnectionError):
        breaker.call(Dependency(ConnectionError()))

    clock.advance(10.0)

    @breaker
    async def stream() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 1

    async def main() -> None:
        task = asyncio.ensure_future(anext(stream()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert breaker.state == "half_open"
    assert breaker.call(Dependency()) == "answer"
