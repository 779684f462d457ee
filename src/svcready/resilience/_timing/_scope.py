"""A stretch of work that ends by a given time, whoever waits for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.resilience._timing import _deadline
from svcready.resilience._timing._alarms import Alarm, alarms_of, next_key
from svcready.resilience._timing._deadline import Until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from svcready.errors import Rejected
    from svcready.resilience._timing._alarms import AnyTask, Queue
    from svcready.resilience._timing._timer import Lapse, Timer

__all__ = ["GRACE_S", "Bound", "Scope", "is_ours"]

GRACE_S = 0.001
"""How long whoever set a deadline further out has to end what it bounds."""


def is_ours(task: AnyTask, requests: int, error: BaseException | None) -> bool:
    """
    Take back the cancellation that a timer asked of *task*, and tell whose *error* is.

    Args:
        task: The task, which is to go on.
        requests: How often its cancellation had been asked for when all began. More
            than that is left: somebody else wants it cancelled as well, and wins.
        error: What came of it.
    """
    from asyncio import CancelledError

    left = task.uncancel()
    return left <= requests and isinstance(error, CancelledError)


class Bound:
    """
    A time by which a stretch of work must end, put in force for the context.

    Args:
        monotonic: The clock.
        until_s: The monotonic time.
    """

    __slots__ = (
        "_alarm",
        "_key",
        "_monotonic",
        "_requests",
        "_task",
        "_token",
        "_until_s",
    )

    def __init__(self, monotonic: Callable[[], float], until_s: float) -> None:
        self._monotonic = monotonic
        self._until_s = until_s
        self._token: Token[float] | None = None
        self._alarm: Alarm | Queue | None = None
        self._task: AnyTask | None = None
        self._requests = self._key = 0

    def enter(self) -> None:
        """Begin; nothing interrupts what doesn't ask for `remaining`."""
        self._token = _deadline.put(self._until_s)

    def enter_async(
        self, after_s: float | None = None, *, grace_s: float = 0.0
    ) -> None:
        """
        Begin a stretch of the running task, which is cancelled when the time comes.

        Args:
            after_s: How long from now the time is, if that is what others take too.
            grace_s: How much later the task is cancelled, so that whoever set the time
                does it, if he can.

        Raises:
            RuntimeError: No task runs.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("there is no task that a time-out could cancel")

        self._task, self._requests = task, task.cancelling()
        self._key = next_key()
        alarms = alarms_of(loop)
        if after_s is None:
            due_s = self._until_s + grace_s
            self._alarm = Alarm(alarms, self._key, task, due_s, self._monotonic)
        else:
            self._alarm = queue = alarms.queue(after_s, self._monotonic)
            if not queue.armed:
                queue.arm(after_s)

            queue.entries[self._key] = (self._until_s, task)

        self.enter()

    def leave(self, error: BaseException | None = None) -> bool:
        """
        End, once.

        Args:
            error: How it ended; None: well.

        Returns:
            Whether *error* is the cancellation by which the time has ended it.
        """
        token, self._token = self._token, None
        if token is not None:
            _deadline.lift(token, self._until_s)

        alarm, self._alarm = self._alarm, None
        task, self._task = self._task, None
        if alarm is None or task is None or alarm.drop(self._key):
            return False

        return is_ours(task, self._requests, error)


class Scope:
    """
    One stretch of work under a timer, in any of its modes, and what counts of it.

    Args:
        timer: The time-out or deadline.
        until_s: The monotonic time by which it must end; None: all its time is left.
        lapse: The timer's numbers when it began; None: it begins now.
        is_block: It may be left in another context than it is entered in.
    """

    __slots__ = (
        "_bound",
        "_by_caller",
        "_is_block",
        "_lapse",
        "_late_at_s",
        "_timer",
        "_until_s",
    )

    def __init__(
        self,
        timer: Timer,
        until_s: float | None = None,
        lapse: Lapse | None = None,
        *,
        is_block: bool = False,
    ) -> None:
        self._timer = timer
        self._is_block = is_block
        self._lapse: Lapse | None = lapse or timer.lapse
        self._until_s = until_s
        self._bound: Bound | None = None
        self._by_caller = False
        self._late_at_s = math.inf

    @property
    def left_s(self) -> float:
        """How long a wait for its end may last, in seconds; inf: no bound."""
        lapse = self._lapse
        if self._bound is None or lapse is None:
            return math.inf

        return max(0.0, self._late_at_s - lapse.monotonic())

    def enter(self) -> None:
        """
        Begin, with nobody to interrupt it.

        Raises:
            DeadlineSpent: No time is left.
        """
        bound = self._begin()
        if bound is not None:
            bound.enter()

    def enter_async(self) -> None:
        """
        Begin a stretch of the running task, which is cancelled when the time comes.

        Raises:
            DeadlineSpent: No time is left.
        """
        bound, lapse = self._begin(), self._lapse
        if bound is None or lapse is None:
            return

        if self._by_caller:
            bound.enter_async(grace_s=GRACE_S)
        else:
            bound.enter_async(lapse.bound_s if self._until_s is None else None)

    def pause(self) -> float | None:
        """End the stretch and count nothing; return when the next one must end."""
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.leave()

        if self._lapse is None or self._late_at_s == math.inf:
            return None

        return self._late_at_s

    def leave(self, error: BaseException | None = None) -> Exception | None:
        """
        End, once, and count.

        Args:
            error: How it ended; None: well.

        Returns:
            What is to be raised in its place, from it; None: nothing is.
        """
        timer = self._timer
        bound, self._bound = self._bound, None
        lapse, self._lapse = self._lapse, None
        ours = bound is not None and bound.leave(error)
        if lapse is None:
            return None

        if ours and self._by_caller:
            timer.count("cancelled")
            return timer.cut_off()

        if ours:
            timer.count("timed_out")
            return timer.expired(lapse.bound_s)

        late = lapse.monotonic() >= self._late_at_s
        enforced, own = lapse.mode == "enforce", not self._by_caller
        timer.ended(error, late=late, enforced=enforced, own=own)
        return None

    def give_up(self) -> Exception:
        """End what a thread goes on with by itself; return the error that says so."""
        timer, lapse = self._timer, self._lapse
        self._close("abandoned")
        if self._by_caller or lapse is None:
            return timer.cut_off()

        return timer.expired(lapse.bound_s)

    def refuse(self, refusal: Rejected) -> Rejected:
        """End before anything was called, and return *refusal*."""
        self._close("rejected")
        return refusal

    def _close(self, outcome: str) -> None:
        self.pause()
        self._lapse = None
        self._timer.count(outcome)

    def _begin(self) -> Bound | None:
        """Return the bound that is to be put in force, if one is."""
        timer, lapse = self._timer, self._lapse
        if lapse is None or lapse.mode == "off":
            self._lapse = None
            return None

        now_s, outer_s = lapse.monotonic(), _deadline.until_s()
        own_s = self._until_s
        if own_s is None:
            own_s = now_s + lapse.bound_s

        if lapse.mode == "observe":
            self._late_at_s = own_s
            if outer_s <= now_s:
                timer.count("observed")
                self._lapse = None

            return None

        if outer_s <= now_s:
            timer.count("rejected")
            raise timer.spent()

        self._by_caller = outer_s < own_s
        self._late_at_s = min(outer_s, own_s)
        by_s = self._late_at_s
        self._bound = Bound(lapse.monotonic, Until(by_s) if self._is_block else by_s)
        return self._bound
