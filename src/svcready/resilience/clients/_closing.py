"""Answers that lost a race, closed beside the winner and not before it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from svcready._core import fork
from svcready._core.guard import guard
from svcready.resilience._admitting._whose import running_loop
from svcready.resilience._timing._threads import Job

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Iterable

    from svcready.resilience._http._exchange import Exchange

__all__ = ["MOST", "WITHIN_S", "Closing"]


class _Closable(Protocol):
    def close(self) -> None: ...


class _AsyncClosable(Protocol):
    async def aclose(self) -> None: ...


C = TypeVar("C", bound=_Closable)
A = TypeVar("A", bound=_AsyncClosable)

MOST = 32
"""How many are closed at once; where there are more, a call waits for its own."""
WITHIN_S = 5.0
"""How long a task may take to close one, and how long `finish` waits, in seconds."""

_closing = guard("resilience.clients", foreign=True)


class Closing:
    """
    What a client closes in the background.

    No lock: threads add to it and take from it, each in one step.
    """

    def __init__(self) -> None:
        self._jobs: set[Job] = set()
        self._tasks: set[Task[None]] = set()
        fork.reset_in_child(self._reset)

    def in_thread(self, exchange: Exchange[C], loser: C) -> None:
        """
        Have a thread of the hedge's close *loser*; the caller does if none is free.

        A thread can't be stopped: one that hangs in it is missing from the pool.
        """
        job, pool = self._job(exchange, loser), exchange.pool
        if pool is None or len(self._jobs) > MOST or not pool.start(job):
            job.run()
            job.end()

    def here(self, exchange: Exchange[C], loser: C) -> None:
        """Close one that came late, in the thread that it came in."""
        job = self._job(exchange, loser)
        job.run()
        job.end()

    def _job(self, exchange: Exchange[C], loser: C) -> Job:
        jobs = self._jobs

        def run() -> None:
            try:
                with _closing:
                    loser.close()
            finally:
                exchange.closed(loser)
                jobs.discard(job)

        job = Job(run, (), {})
        jobs.add(job)
        return job

    async def in_tasks(self, exchange: Exchange[A], losers: Iterable[A]) -> None:
        """
        Have tasks close *losers*, each for `WITHIN_S` at most.

        Those beyond `MOST` are waited for; who is cancelled meanwhile leaves them all
        to be closed.
        """
        import asyncio

        loop, tasks = asyncio.get_running_loop(), self._tasks
        for left in tasks.copy():
            if left.get_loop().is_closed():
                tasks.discard(left)  # it never ends

        beyond = set()
        for loser in losers:
            is_beyond = len(tasks) >= MOST
            task = loop.create_task(_bounded(exchange, loser), name="svcready-close")
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if is_beyond:
                beyond.add(task)

        if beyond:
            await asyncio.wait(beyond)

    def finish(self) -> None:
        """Wait for what threads close, for `WITHIN_S` in all."""
        until_s = time.monotonic() + WITHIN_S
        for job in self._jobs.copy():
            job.wait(max(0.0, until_s - time.monotonic()))

    async def finish_async(self) -> None:
        """Wait for what tasks of this loop close, each of which is bounded."""
        loop = running_loop()  # none where asyncio does not run
        tasks = [task for task in self._tasks.copy() if task.get_loop() is loop]
        if tasks:
            import asyncio

            await asyncio.wait(tasks)

    def _reset(self) -> None:
        self._jobs, self._tasks = set(), set()  # the parent's threads are not here


async def _bounded(exchange: Exchange[A], loser: A) -> None:
    import asyncio

    try:
        with _closing:
            async with asyncio.timeout(WITHIN_S):
                await loser.aclose()
    finally:
        exchange.closed(loser)
