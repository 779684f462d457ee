"""One run of a check, on a thread or on an event loop."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from svcready.health._result import CheckResult, judge, judge_error
from svcready.health._running._allowed import set_allowed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready.health._running._state import CheckState

__all__ = ["AWAITABLE", "Run"]

AWAITABLE = CheckResult("awaitable")
"""A function that did not look like it returned something to await."""


class Run:
    """
    One run, from its start to its result.

    Args:
        state: The check's.
        clock: Measures it.
        report: Called once, on the run's own thread, when it is over; `result` is None
            if it was cancelled from outside and so says nothing of its subject.
        quiet: Makes a context for the check's own calls, in which they are not traced.
    """

    __slots__ = (
        *("abandoned", "began_s", "ended_s", "loop", "result", "state", "timed_out"),
        *("_clock", "_function", "_on_ours", "_quiet", "_report", "_task"),
    )

    def __init__(
        self,
        state: CheckState,
        clock: Clock,
        report: Callable[[Run], None],
        quiet: Callable[[], AbstractContextManager[object]] | None,
    ) -> None:
        self.state = state
        self.began_s: float | None = None
        """When it began; None while a busy event loop lets it wait."""
        self.ended_s = 0.0
        self.result: CheckResult | None = None
        self.timed_out = False
        self.abandoned = False
        self.loop: AbstractEventLoop | None = None
        self._clock = clock
        self._on_ours = False
        self._function = state.check.function
        self._report = report
        self._quiet = quiet
        self._task: Task[None] | None = None

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return 0.0 if self.began_s is None else self.ended_s - self.began_s

    def is_lost(self) -> bool:
        """Tell whether its loop has stopped, so that it can never end."""
        return self.loop is not None and not self.loop.is_running()

    def execute(self) -> None:
        """Run a synchronous check on the calling thread; never raises."""
        self.began_s = self._clock.monotonic()
        set_allowed(self.state.tuning.timeout_s)
        try:
            if self._quiet is None:
                value = self._function()
            else:
                with self._quiet():
                    value = self._function()

            self.result = self._take(value)
        except BaseException as error:  # noqa: BLE001 - a thread of ours: SystemExit of
            # a check is its failure, and nobody above could want it.
            self.result = judge_error(error)

        self.ended_s = self._clock.monotonic()

    def launch(self, loop: AbstractEventLoop, *, ours: bool) -> bool:
        """
        Run an asynchronous check on *loop*.

        Args:
            loop: Where.
            ours: Whether the loop is a private one.

        Returns:
            False if the loop is closed.
        """
        self.loop = loop
        self._on_ours = ours
        try:
            loop.call_soon_threadsafe(self._begin)
        except RuntimeError:
            return False

        return True

    def cancel(self) -> bool:
        """Ask an asynchronous check to end; False if its loop is closed."""
        if self.loop is None or self._task is None:
            return True

        try:
            self.loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:
            return False

        return True

    def disown(self) -> None:
        """Let the loop end without it, where it did not let itself be cancelled."""
        task, loop = self._task, self.loop
        if task is None or loop is None:
            return

        # A loop that ends waits for every task it knows, and this one never comes.
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_forget, task)

    def _take(self, value: object) -> CheckResult:
        if not hasattr(value, "__await__"):
            return judge(value)

        # An async function in disguise, a lambda's: it goes to the loop from now on.
        close = getattr(value, "close", None)
        if close is not None:
            close()

        return AWAITABLE

    def _begin(self) -> None:
        if self.abandoned or self.loop is None:
            return

        name = f"svcready check {self.state.check.name}"
        self._task = self.loop.create_task(self._supervise(), name=name)

    async def _supervise(self) -> None:
        import asyncio

        if self.abandoned:
            return

        self.began_s = self._clock.monotonic()
        set_allowed(self.state.tuning.timeout_s)
        try:
            if self._quiet is None:
                value = await self._called()
            else:
                with self._quiet():
                    value = await self._called()

            self.result = judge(value)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # by us or by a stopping loop
                raise

            self.result = judge_error(error)
        except Exception as error:  # noqa: BLE001 - what a check raises is its result
            self.result = judge_error(error)
        except BaseException as error:
            self.result = judge_error(error)
            if not self._on_ours:  # a signal may have raised it into the application
                raise
        finally:
            self.ended_s = self._clock.monotonic()
            self._report(self)

    async def _called(self) -> object:
        value = self._function()
        if hasattr(value, "__await__"):
            return await value

        return value


def _forget(task: Task[None]) -> None:
    import asyncio

    if not task.done():
        asyncio._unregister_task(task)  # noqa: SLF001 - documented for extensions
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001
