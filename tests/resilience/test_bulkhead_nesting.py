"""Who enters a bulkhead again: what is nested in a call, a block or a stream."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from svcready.errors import BulkheadFull
from svcready.resilience import Bulkhead, bulkhead
from svcready.resilience._admitting._permits import Level

IDLE = Level(0, 0, 1)


@pytest.fixture
def made() -> Bulkhead:
    """Have room for one."""
    return bulkhead("payments", max_concurrent=1)


def test_one_threads_streams_have_permits_of_their_own(made: Bulkhead) -> None:
    """Between two items a generator is open, and nobody is in it."""
    nested = made(lambda: made.level.in_use)

    @made
    def rows() -> Generator[int, int, int]:
        try:
            yield nested()
            yield nested()
        finally:
            assert nested() == 1

        return nested()

    for end in ("closed", "read", "thrown into", "lost"):
        stream = rows()
        assert next(stream) == 1
        with pytest.raises(BulkheadFull):
            next(rows())

        with pytest.raises(BulkheadFull):
            nested()

        if end == "closed":
            stream.close()
        elif end == "read":
            assert list(stream) == [1]
        elif end == "thrown into":
            with pytest.raises(KeyError):
                stream.throw(KeyError())

        del stream
        gc.collect()
        assert made.level == IDLE

    with ThreadPoolExecutor(2) as pool:  # begun in one thread, ended in another
        stream = pool.submit(rows).result()
        assert pool.submit(next, stream).result() == 1
        assert list(stream) == [1]

    assert nested() == 1
    assert made.level == IDLE


def test_one_tasks_streams_have_permits_of_their_own(made: Bulkhead) -> None:
    """Neither is a task in the async generators that it has open."""

    @made
    async def nested() -> int:
        return made.level.in_use

    @made
    async def rows() -> AsyncGenerator[int, None]:
        yield await nested()
        yield await nested()

    async def main() -> None:
        stream = rows()
        assert await anext(stream) == 1
        with pytest.raises(BulkheadFull):
            await anext(rows())

        with pytest.raises(BulkheadFull):
            await nested()

        assert [item async for item in stream] == [1]
        stream = rows()
        await anext(stream)
        await stream.aclose()
        assert await nested() == 1

    asyncio.run(main())
    assert made.level == IDLE


def test_what_is_not_awaited_yet_is_nobodys(made: Bulkhead) -> None:
    """Awaitables that one task asked a plain function for don't share a permit."""

    async def answer() -> int:
        await asyncio.sleep(0)
        return nested()

    nested = made(lambda: made.level.in_use)
    call = made(lambda: answer())

    async def main() -> None:
        first = call()
        with pytest.raises(BulkheadFull):
            _ = call()

        assert await asyncio.create_task(first) == 1

    asyncio.run(main())
    assert made.level == IDLE


def test_a_stream_shares_the_permit_of_the_call_around_it(made: Bulkhead) -> None:
    """Opened within a call it has the call's permit, and keeps it when that ends."""

    @made
    def rows() -> Generator[int, None, None]:
        yield 1
        yield 2

    @made
    def begin() -> tuple[Generator[int, None, None], ...]:
        streams = rows(), rows()
        for stream in streams:
            next(stream)

        assert made.level.in_use == 1
        return streams

    first, second = begin()
    assert made.level.in_use == 1
    with pytest.raises(BulkheadFull):
        next(rows())

    assert list(first) == [2]
    assert made.level.in_use == 1
    second.close()
    assert made.level == IDLE


def test_calls_in_a_block_enter_again(made: Bulkhead) -> None:
    """In its own thread or task and context; elsewhere they need their own."""
    nested = made(lambda: made.level.in_use)

    async def main() -> None:
        async with made.guard():
            async with made:
                assert nested() == 1

            with pytest.raises(BulkheadFull):
                await asyncio.to_thread(nested)

            with pytest.raises(BulkheadFull):
                await asyncio.create_task(asyncio.to_thread(nested))

            assert nested() == 1

    with made.guard(), made.guard():
        assert nested() == 1
        with pytest.raises(BulkheadFull):
            contextvars.Context().run(nested)

    assert made.level == IDLE
    asyncio.run(main())
    assert made.level == IDLE


def test_a_thread_that_goes_on_without_the_block_is_not_in_it(made: Bulkhead) -> None:
    """A pool's enters for one request, runs another, and leaves for the first."""
    with ThreadPoolExecutor(1) as pool:

        def run(call: object) -> object:
            return pool.submit(contextvars.copy_context().run, call).result(30)  # type: ignore[arg-type]

        guard = made.guard()
        run(guard.__enter__)
        with pytest.raises(BulkheadFull):
            run(made.guard().__enter__)

        with pytest.raises(BulkheadFull):
            run(made(lambda: None))

        run(lambda: guard.__exit__(None, None, None))
        other = made.guard()
        run(other.__enter__)
        run(lambda: other.__exit__(None, None, None))

    assert made.level == IDLE
