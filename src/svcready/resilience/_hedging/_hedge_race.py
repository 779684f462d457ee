"""One hedged call: attempts as tasks, of which the first success wins."""

from __future__ import annotations

import math
from contextvars import Context
from typing import TYPE_CHECKING, cast

from svcready.resilience._admitting._whose import running_loop
from svcready.resilience._layering._results import is_awaitable
from svcready.resilience._retrying._marks import Running

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable, Mapping

    from svcready.resilience._hedging._hedge_core import HedgeCore

__all__ = ["Race"]

_HELD_S = 365 * 86_400.0
"""How long who lost is held on to at most: for ever, as loops measure timers."""


class Race:
    """
    The attempts of one call.

    Each is a task with a copy of the caller's context. Whatever ends the call, a
    success, the last failure or a cancellation, those that still run are cancelled.
    They are waited for, unless there is an answer: that is not kept waiting for a loser
    whose clean-up takes longer than a turn of the event loop. What such a one holds it
    gives back when it ends.

    Args:
        core: The hedge.
        call: Makes an attempt.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    __slots__ = (
        "_args",
        "_call",
        "_core",
        "_kwargs",
        "_left",
        "_refused",
        "_running",
        "_tasks",
    )

    def __init__(
        self,
        core: HedgeCore,
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> None:
        self._core = core
        self._call = call
        self._args = args
        self._kwargs = kwargs
        self._left = core.config.max_hedges
        self._refused: str | None = None
        self._running = Running()
        self._tasks: list[Task[object]] = []

    async def run(self, running: Awaitable[object] | None = None) -> object:
        """
        Return the first answer.

        Args:
            running: What the first attempt returned, if that was called already.

        Raises:
            Exception: All attempts failed; it is the first one's error.
        """
        core = self._core
        monotonic = core.clock.monotonic
        after_s, started_s = core.after_s(), monotonic()
        core.begin()
        try:
            won = await self._decide(running, after_s)
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            await self._end()
            raise

        tasks = tuple(self._tasks)
        await self._end(is_won=won is not None)
        if won is not None:
            core.took(monotonic() - started_s)
            core.answered(tasks.index(won), len(tasks), self._refused)
            return won.result()

        error = tasks[0].exception()
        assert isinstance(error, Exception)
        core.failed(error, self._running, len(tasks), self._refused)
        try:
            raise error
        finally:
            del error, tasks  # its traceback holds this frame

    async def _decide(
        self, running: Awaitable[object] | None, after_s: float
    ) -> Task[object] | None:
        """Return the task that succeeded first; None: all have failed."""
        import asyncio

        loop = asyncio.get_running_loop()
        waiting = {self._start(loop.create_task, running)}
        due_s = loop.time() + after_s
        while waiting:
            timed = self._left and due_s < math.inf
            done, waiting = await asyncio.wait(
                waiting,
                timeout=max(0.0, due_s - loop.time()) if timed else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            winner = self._winner(done)
            if winner is not None:
                return winner

            if self._left and (not done or self._fails_early(done)):
                self._refused = self._core.refusal()
                if self._refused is not None:
                    self._left = 0
                else:
                    self._left -= 1
                    waiting.add(self._start(loop.create_task, None))
                    due_s = loop.time() + after_s

        return None

    def _winner(self, done: set[Task[object]]) -> Task[object] | None:
        """Return the earliest attempt that succeeded; a cancelled one is no outcome."""
        for task in self._tasks:
            if task in done and not task.cancelled() and task.exception() is None:
                return task

        for task in done:
            if task.cancelled() or not isinstance(task.exception(), Exception):
                task.result()

        return None

    def _fails_early(self, done: set[Task[object]]) -> bool:
        errors = [task.exception() for task in done]
        try:
            return any(
                isinstance(error, Exception)
                and self._core.follows(error, self._running)
                for error in errors
            )
        finally:
            del errors

    def _start(
        self,
        create_task: Callable[..., Task[object]],
        running: Awaitable[object] | None,
    ) -> Task[object]:
        task = create_task(
            self._attempt() if running is None else self._go_on(running),
            name=f"svcready-hedge-{self._core.name}-{len(self._tasks)}",
        )
        self._tasks.append(task)
        return task

    async def _attempt(self) -> object:
        self._running.put()  # in a context of its own
        result = self._call(*self._args, **self._kwargs)
        if is_awaitable(result):
            return await cast("Awaitable[object]", result)

        return result

    async def _go_on(self, running: Awaitable[object]) -> object:
        self._running.put()
        return await running

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _abandon(self) -> None:
        """Cancel what runs for a coroutine that nobody runs, which can't wait."""
        running = {task for task in self._tasks if not task.done()}
        loop = next(iter(running)).get_loop() if running else None
        if loop is None or loop.is_closed():
            return  # the tasks go with their loop

        if running_loop() is loop:
            self._cancel()
            _Losers(running)
        else:  # the collector came by in another thread
            loop.call_soon_threadsafe(_lose, running)

    async def _end(self, *, is_won: bool = False) -> None:
        """
        Cancel what still runs, and wait for it: with an answer at hand for a turn only.

        Cancelled meanwhile, this tells them once more, and is cancelled when they have
        ended.
        """
        import asyncio

        self._cancel()
        interrupted: asyncio.CancelledError | None = None
        while waiting := [task for task in self._tasks if not task.done()]:
            try:
                await asyncio.wait(waiting, timeout=0.0 if is_won else None)
            except asyncio.CancelledError as error:
                interrupted = error
                is_won = False
                self._cancel()
            except GeneratorExit:
                self._abandon()
                raise

            if is_won:
                break

        late = {task for task in self._tasks if not task.done()}
        for task in self._tasks:
            if task not in late:
                _retrieve(task)

        self._tasks.clear()  # an error's traceback leads to this object
        if late:
            _Losers(late)

        if interrupted is not None:
            try:
                raise interrupted
            finally:
                del interrupted  # its traceback holds this frame


class _Losers:
    """
    Attempts that end by themselves, which nobody waits for.

    Event loops keep only weak references to tasks. A timer of the loop's holds these
    till the last has ended, so that what a closed loop leaves unfinished goes with it.

    Args:
        tasks: The attempts, all of the running loop.
    """

    __slots__ = ("_held", "_tasks")

    def __init__(self, tasks: set[Task[object]]) -> None:
        self._tasks = tasks
        loop = next(iter(tasks)).get_loop()
        self._held = loop.call_later(_HELD_S, self._tasks.clear, context=Context())
        for task in tuple(tasks):
            task.add_done_callback(self._ended, context=Context())

    def _ended(self, task: Task[object]) -> None:
        _retrieve(task)
        self._tasks.discard(task)
        if not self._tasks:
            self._held.cancel()


def _lose(tasks: set[Task[object]]) -> None:
    for task in tasks:
        task.cancel()

    _Losers(tasks)


def _retrieve(task: Task[object]) -> None:
    """Take note of how a task ended, so that nobody calls it never retrieved."""
    if not task.cancelled():
        task.exception()
