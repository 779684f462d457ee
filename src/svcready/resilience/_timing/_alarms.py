"""Timers that cancel tasks: one for all calls of an event loop that last as long."""

from __future__ import annotations

from contextvars import Context
from itertools import count
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary, ref

from svcready._core.guard import guard

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task, TimerHandle
    from collections.abc import Callable

    AnyTask: TypeAlias = Task[object]

__all__ = ["Alarm", "Alarms", "Queue", "alarms_of", "next_key"]

next_key = count(1).__next__
"""Number what is entered, so that a shield knows what was entered before it."""

_LEAST_S = 0.001
"""A timer that rang early is set again for this long: uvloop counts milliseconds."""


class Alarms:
    """
    All timers of one event loop; only the loop's thread touches them.

    Nothing but the loop's own timers and the frames of running calls holds on to
    them, so that they go with the loop, whatever it leaves unfinished.

    Args:
        loop: The event loop.
    """

    __slots__ = ("__weakref__", "context", "held", "loop", "queues", "shields")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.context = Context()
        """Timers run in an empty context: a caller's would live as long as they."""
        self.queues: WeakValueDictionary[tuple[float, object], Queue] = (
            WeakValueDictionary()
        )
        self.shields: dict[AnyTask, list[int]] = {}
        """The keys of the shields that a task is in, from the outside in."""
        self.held: dict[int, AnyTask] = {}
        """What expired in a shield that was entered after it, by key."""

    def queue(self, after_s: float, monotonic: Callable[[], float]) -> Queue:
        """Return the queue of all that lasts *after_s* seconds by a clock."""
        queue = self.queues.get((after_s, monotonic))
        if queue is None:
            queue = self.queues[after_s, monotonic] = Queue(self, after_s, monotonic)

        return queue

    def expire(self, key: int, task: AnyTask) -> None:
        """Cancel *task* for what it entered as *key*, once no shield is in between."""
        shields = self.shields.get(task)
        if shields and key < shields[-1]:
            self.held[key] = task
            return

        with guard("resilience.timer", foreign=True):  # a future that can't, of theirs
            task.cancel()

    def unshield(self, task: AnyTask, shield: int) -> None:
        """
        End a shield of *task*.

        What it held back expires when the task waits next: to cancel a task that runs
        would outlive what it is meant for, where that ends without another wait.
        """
        shields = self.shields.get(task, [])
        if shield in shields:
            shields.remove(shield)
            if not shields:
                del self.shields[task]

        for key, held in self.held.items():
            if held is task:
                self.loop.call_soon(self._release, key, context=self.context)

    def _release(self, key: int) -> None:
        """Let what a shield held back expire, unless it ended or another holds it."""
        task = self.held.pop(key, None)
        if task is not None:
            self.expire(key, task)


class Queue:
    """
    What is under way on one loop and lasts equally long: the first in is due first.

    One timer rings for the earliest. What ends in time takes itself out; when the
    timer rings it is set again for what is first then, or not at all.

    Args:
        alarms: Those of the loop.
        after_s: How long everything lasts, in seconds.
        monotonic: The clock.
    """

    __slots__ = ("__weakref__", "after_s", "alarms", "armed", "entries", "loop", "now")

    def __init__(
        self, alarms: Alarms, after_s: float, monotonic: Callable[[], float]
    ) -> None:
        self.alarms = alarms
        self.after_s = after_s
        self.now = monotonic
        self.loop = alarms.loop
        self.armed = False
        """Whether the timer is set, for the first of the entries or before it."""
        self.entries: dict[int, tuple[float, AnyTask]] = {}
        """When each is due and whom it cancels, by key; gone when it is over."""

    def arm(self, after_s: float) -> None:
        """Set the timer."""
        alarms = self.alarms
        alarms.loop.call_later(after_s, self._ring, context=alarms.context)
        self.armed = True

    def drop(self, key: int) -> bool:
        """Take out what ended; False: it had expired and its task was cancelled."""
        if self.entries.pop(key, None) is not None:
            return True

        return self.alarms.held.pop(key, None) is not None

    def _ring(self) -> None:
        self.armed = False
        now_s = self.now()
        due: list[tuple[int, AnyTask]] = []
        for key, (until_s, task) in self.entries.items():
            if until_s > now_s:
                self.arm(max(until_s - now_s, _LEAST_S))
                break

            due.append((key, task))

        for key, task in due:
            del self.entries[key]
            self.alarms.expire(key, task)


class Alarm:
    """
    A timer of its own, for what is due at a time that no queue has.

    Args:
        alarms: Those of the loop.
        key: The number of what is entered.
        task: Whom it cancels.
        until_s: When it is due.
        monotonic: The clock.
    """

    __slots__ = ("_alarms", "_handle", "_key", "_now", "_task", "_until_s")

    def __init__(
        self,
        alarms: Alarms,
        key: int,
        task: AnyTask,
        until_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._alarms = alarms
        self._key = key
        self._task = task
        self._until_s = until_s
        self._now = monotonic
        self._handle: TimerHandle | None = None
        self._set(0.0)

    def drop(self, key: int) -> bool:
        """Take it out; False: it had expired and its task was cancelled."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            return True

        return self._alarms.held.pop(key, None) is not None

    def _set(self, least_s: float) -> None:
        alarms = self._alarms
        left_s = max(self._until_s - self._now(), least_s)
        self._handle = alarms.loop.call_later(
            left_s, self._ring, context=alarms.context
        )

    def _ring(self) -> None:
        if self._until_s > self._now():
            self._set(_LEAST_S)
            return

        self._handle = None
        self._alarms.expire(self._key, self._task)


_ALARMS: dict[int, ref[Alarms]] = {}
"""By the loop's id, which another loop may have once the first is gone."""


def alarms_of(loop: AbstractEventLoop) -> Alarms:
    """Return the timers of *loop*, which is the running one."""
    known = _ALARMS.get(id(loop))
    alarms = None if known is None else known()
    if alarms is not None and alarms.loop is loop:
        return alarms

    for place, known in tuple(_ALARMS.items()):
        if known() is None and _ALARMS.get(place) is known:
            del _ALARMS[place]

    alarms = Alarms(loop)
    _ALARMS[id(loop)] = ref(alarms)
    return alarms
