"""Waiting for clients: a place is given back only for as long as something waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from svcready.adapters._waiting import wait_for_client


class Place:
    """Notes when it is paused."""

    def __init__(self) -> None:
        self.admitted = [self]
        self.told: list[str] = []

    def pause(self) -> None:
        """Take note."""
        self.told.append("pause")

    def resume(self) -> None:
        """Take note."""
        self.told.append("resume")


class Steps:
    """An awaitable whose steps are a plain iterator."""

    def __init__(self, many: int) -> None:
        self._many = many

    def __await__(self) -> Any:
        return iter([None] * self._many)


async def at_once() -> str:
    """Return without waiting."""
    return "done"


async def soon() -> str:
    """Return after two turns of the loop."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "done"


async def broken_at_once() -> str:
    """Fail without waiting."""
    raise ConnectionError


async def broken_soon() -> str:
    """Fail after a turn."""
    await asyncio.sleep(0)
    raise ConnectionError


async def future() -> str:
    """Wait for what another callback brings."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[str] = loop.create_future()
    loop.call_soon(made.set_result, "done")
    return await made


def run(client: Callable[[], Awaitable[Any]]) -> tuple[object, list[str]]:
    """Return what came of waiting, and what was told."""
    place = Place()

    async def main() -> object:
        return await wait_for_client(place, client())  # type: ignore[arg-type]

    try:
        return asyncio.run(main()), place.told
    except ConnectionError as error:
        return type(error), place.told


@pytest.mark.parametrize(
    ("client", "result", "waits"),
    [
        (at_once, "done", False),
        (soon, "done", True),
        (future, "done", True),
        (broken_at_once, ConnectionError, False),
        (broken_soon, ConnectionError, True),
        (lambda: Steps(0), None, False),
        (lambda: Steps(3), None, True),
    ],
)
def test_a_wait_is_told_if_there_is_one(
    client: Callable[[], Awaitable[Any]], result: object, waits: bool
) -> None:
    """What ends in its first step is no wait; results and errors are the client's."""
    assert run(client) == (result, ["pause", "resume"] * waits)


@pytest.mark.parametrize("turns", [1, 2])
def test_a_cancellation_reaches_the_client(turns: int) -> None:
    """Whoever is cancelled while it waits cleans up, and waits on if it likes."""
    place, seen = Place(), []

    async def client() -> str:
        try:
            await asyncio.sleep(0)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

        return "never"

    async def main() -> None:
        task = asyncio.ensure_future(_wrapped(place, client()))
        for _ in range(turns):
            await asyncio.sleep(0)

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled", "cleaned up"]
    assert place.told == ["pause", "resume"]


def test_steps_that_take_no_cancellation_end_with_it() -> None:
    """An iterator that nothing can be thrown into is left where it is."""
    place = Place()

    async def main() -> None:
        task = asyncio.ensure_future(_wrapped(place, Steps(1000)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert place.told == ["pause", "resume"]


def test_a_wait_that_is_thrown_away_gives_nothing_up() -> None:
    """A task that is destroyed while it waits closes the client's steps."""
    place, closed = Place(), []

    async def client() -> None:
        try:
            await Steps(1)
        finally:
            closed.append(True)

    waiting: Any = wait_for_client(place, client())  # type: ignore[arg-type]
    next(waiting)
    waiting.close()
    assert closed == [True]
    assert place.told == ["pause", "resume"]


async def _wrapped(place: Place, client: Awaitable[Any]) -> object:
    return await wait_for_client(place, client)  # type: ignore[arg-type]
