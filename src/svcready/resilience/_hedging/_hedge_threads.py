"""One hedged call of a plain function: attempts in threads, of which one answers."""

from __future__ import annotations

import contextlib
import math
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import DeadlineExceeded
from svcready.resilience._retrying._marks import Running
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._threads import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.resilience._hedging._hedge_core import HedgeCore
    from svcready.resilience._timing._threads import Pool

__all__ = ["race_in_threads"]


class _Attempt(Job):
    """One attempt, which says when it has ended."""

    __slots__ = ("_ended_ones",)

    def __init__(
        self,
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        ended_ones: SimpleQueue[_Attempt],
        running: Running,
    ) -> None:
        def attempt(*args: object, **kwargs: object) -> object:
            running.put(again=False)  # in a context of its own
            return call(*args, **kwargs)

        super().__init__(attempt, args, kwargs)
        self._ended_ones = ended_ones

    def end(self, *, abandoned: bool = False) -> None:
        """Let whoever waits go on."""
        super().end(abandoned=abandoned)
        if not abandoned:
            self._ended_ones.put(self)


def race_in_threads(
    core: HedgeCore,
    call: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """
    Return the first answer of attempts that run in threads.

    Attempts that lose run on, because a thread can't be stopped. Where no thread is
    free for the first, the caller makes it, unhedged.

    Raises:
        Exception: All attempts failed; it is the first one's error.
        DeadlineExceeded: The deadline around the call passed.
    """
    ended: SimpleQueue[_Attempt] = SimpleQueue()
    running = Running()
    attempts = [_Attempt(call, args, kwargs, ended, running)]
    pool = core.pool
    core.begin()
    if pool is None or not pool.start(attempts[0]):
        return _unhedged(core, call, args, kwargs)

    monotonic, started_s = core.clock.monotonic, core.clock.monotonic()
    after_s, left, waiting = core.after_s(), core.config.max_hedges, 1
    due_s = SYSTEM_CLOCK.monotonic() + after_s
    refused: str | None = None
    first = attempts[0]
    try:
        while waiting:
            attempt = _next(core, ended, due_s if left else math.inf)
            if attempt is not None:
                waiting -= 1
                if attempt.error is None:
                    core.took(monotonic() - started_s)
                    core.answered(attempts.index(attempt), len(attempts), refused)
                    return attempt.result

                if not isinstance(attempt.error, Exception):
                    return attempt.outcome()

                if not core.follows(attempt.error, running):
                    continue

            if left:
                another = _Attempt(call, args, kwargs, ended, running)
                refused = core.refusal()
                if refused is None and not pool.start(another):
                    refused = "threads"

                left = 0 if refused else left - 1
                if refused is None:
                    attempts.append(another)
                    waiting += 1
                    due_s = SYSTEM_CLOCK.monotonic() + after_s

        if isinstance(first.error, Exception):
            core.failed(first.error, running, len(attempts), refused)

        return first.outcome()
    finally:
        _part(pool, attempts, ended)


def _part(pool: Pool, attempts: list[_Attempt], ended: SimpleQueue[_Attempt]) -> None:
    """Give up what still runs, and let go of what has ended, errors above all."""
    for attempt in attempts:
        if not pool.abandon(attempt):
            attempt.forget()

    attempts.clear()  # an error's traceback leads to it
    with contextlib.suppress(Empty):
        while True:
            ended.get_nowait()  # nobody puts what was given up


def _next(
    core: HedgeCore, ended: SimpleQueue[_Attempt], due_s: float
) -> _Attempt | None:
    """Return the next attempt that ends; None: another one is due."""
    until_s = _deadline.until_s()
    spare_s = until_s - core.clock.monotonic()
    wait_s = min(due_s - SYSTEM_CLOCK.monotonic(), spare_s)
    try:
        return ended.get(timeout=max(0.0, wait_s) if wait_s < math.inf else None)
    except Empty:
        if core.clock.monotonic() < until_s:
            return None

        core.count("deadline")
        raise DeadlineExceeded(
            f"{core.name}: the deadline passed while attempts ran", name=core.name
        ) from None


def _unhedged(
    core: HedgeCore,
    call: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    started_s = core.clock.monotonic()
    try:
        result = call(*args, **kwargs)
    except Exception:
        core.count("failed")
        raise

    core.took(core.clock.monotonic() - started_s)
    core.answered(0, 1, "threads")
    return result
