"""The ready-made check of the threads that blocking code waits for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from svcready.health._result import CheckResult, fail
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import durations
from svcready.health.checks._subjects import refuse

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable
    from concurrent.futures import Executor
    from datetime import timedelta
    from typing import Unpack

    from svcready.health.checks._adding import Options
    from svcready.health.checks._bounds import Bounds

__all__ = ["add_thread_pool"]

_INTERVAL = "30s"
_SHARE = 0.9


def add_thread_pool(
    executor: Executor | None = None,
    *,
    warn_above: float | timedelta | str | None = "100ms",
    fail_above: float | timedelta | str | None = "1s",
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of how long blocking code waits for a thread.

    A function that does nothing is submitted and must be begun in time. One that is
    still waiting at the next run is waited for again, not submitted twice.

    Args:
        executor: The pool. By default it is the event loop's own, of
            `run_in_executor` and `asyncio.to_thread`, and AnyIO's, whose 40 threads
            serve the plain functions of FastAPI and Starlette.
        warn_above: Seconds, timedelta or `"100ms"`; None never warns.
        fail_above: The same; at most the check's time-out counts.
        name: By default `thread-pool`.
        options: What every check takes; it runs every 30 s by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    if executor is not None and not hasattr(executor, "submit"):
        raise refuse("add_thread_pool", "an executor", executor)

    check = _ThreadsCheck(executor, durations(warn_above, fail_above))
    target = "threads" if executor is None else type(executor).__name__
    ready = ReadyMade(check.run, kind="system", target=target, measurement="wait")
    add(name or "thread-pool", ready, {"interval": _INTERVAL, **options})


class _ThreadsCheck:
    def __init__(self, executor: Executor | None, bounds: Bounds) -> None:
        self._bounds = bounds
        self._executor = executor
        self._pool = _Probe(self._submit)
        self._limiter = _Probe(_submit_to_anyio)

    async def run(self) -> CheckResult:
        """Submit what does nothing, and see how long it waits."""
        most_s = min(self._bounds.fail, allowed_s() * _SHARE)
        try:
            waited_s, began = await self._pool.wait(most_s)
        except RuntimeError:
            return fail("the thread pool takes no more work: it is shut down")

        whose = "the event loop's" if self._executor is None else "the pool's"
        # Starlette imported it, if anybody did.
        if began and self._executor is None and "anyio" in sys.modules:
            most_s = max(0.01, most_s - waited_s)
            queued_s, began = await self._limiter.wait(most_s)
            if queued_s > waited_s or not began:
                waited_s, whose = queued_s, _anyios_threads()

        status = self._bounds.judge(waited_s) if began else "fail"
        said = "" if status == "pass" else _said(waited_s, whose, began=began)
        return CheckResult(status, said, round(waited_s * 1000, 1), "ms")

    def _submit(self, loop: AbstractEventLoop) -> Future[float]:
        return loop.run_in_executor(self._executor, time.monotonic)


class _Probe:
    """
    One function in a queue, never two.

    Args:
        submit: Puts it there; it returns when it was begun.
    """

    def __init__(self, submit: Callable[[AbstractEventLoop], Future[float]]) -> None:
        self._submit = submit
        self._waiting: Future[float] | None = None
        self._since_s = 0.0

    async def wait(self, most_s: float) -> tuple[float, bool]:
        """Return the seconds in the queue up to now, and whether that is all."""
        import asyncio

        loop = asyncio.get_running_loop()
        waiting = self._waiting
        if waiting is None or waiting.done() or waiting.get_loop() is not loop:
            self._since_s = time.monotonic()
            waiting = self._waiting = self._submit(loop)

        done, _ = await asyncio.wait({waiting}, timeout=most_s)
        if not done:
            return time.monotonic() - self._since_s, False

        self._waiting = None
        return max(0.0, waiting.result() - self._since_s), True


def _submit_to_anyio(loop: AbstractEventLoop) -> Future[float]:
    from anyio import to_thread

    return loop.create_task(to_thread.run_sync(time.monotonic))


def _anyios_threads() -> str:
    from anyio import to_thread

    limiter = to_thread.current_default_thread_limiter()
    return f"AnyIO's ({limiter.borrowed_tokens} of {limiter.total_tokens:g} taken)"


def _said(waited_s: float, whose: str, *, began: bool) -> str:
    waited = f"{waited_s:.1f} s" if waited_s >= 1 else f"{waited_s * 1000:.0f} ms"
    if began:
        return f"blocking code waits {waited} for one of {whose} threads"

    return f"none of {whose} threads became free within {waited}"
