"""The heartbeat of event loops: which of them run, and when each turned last."""

from __future__ import annotations

import threading
from contextvars import Context
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["Pulse", "Pulses"]

_EVERY_S = 1.0
_BEATS = 4
"""At least so many within the limit, so that a late one is not missed."""


class Pulse:
    """
    The chain of calls on one loop, which alone holds it.

    Args:
        loop: The loop; neither kept alive nor kept running.
        now: The monotonic clock, in seconds.
        every_s: From one note to the next.
    """

    __slots__ = (
        *("__weakref__", "_every_s", "_loop", "_now", "beat_s", "context", "thread"),
    )

    def __init__(
        self, loop: AbstractEventLoop, now: Callable[[], float], every_s: float
    ) -> None:
        self._loop = ref(loop)
        self._now = now
        self._every_s = every_s
        self.beat_s = now()
        """When the loop last turned, on the monotonic clock."""
        self.thread: int | None = None
        """The thread that it runs on, as far as is known."""
        self.context = Context()

    def runs(self) -> bool:
        """Tell whether the loop is one that ought to turn."""
        loop = self._loop()
        return loop is not None and not loop.is_closed() and loop.is_running()

    def beat(self) -> None:
        """Note that the loop turns, and plan the next note; on the loop's thread."""
        self.beat_s = self._now()
        self.thread = threading.get_ident()
        loop = self._loop()
        if loop is None:
            return

        try:
            loop.call_later(self._every_s, self.beat, context=self.context)
        except Exception as error:  # noqa: BLE001 - a loop that ends just now
            report_fault("runtime.loop_pulse", error)


class Pulses:
    """
    Watches event loops.

    Args:
        now: The monotonic clock, in seconds.
        limit_s: After how long a loop that does not turn will be called stalled.
    """

    def __init__(self, now: Callable[[], float], limit_s: float) -> None:
        self._now = now
        self._every_s = min(_EVERY_S, limit_s / _BEATS)
        self._pulses: WeakKeyDictionary[AbstractEventLoop, Pulse] = WeakKeyDictionary()

    def watch(self, loop: AbstractEventLoop) -> None:
        """Watch *loop* from now on, once; from any thread."""
        if loop in self._pulses:
            return

        pulse = Pulse(loop, self._now, self._every_s)
        self._pulses[loop] = pulse
        try:
            # A context of its own, or it would keep that of a request for ever.
            loop.call_soon_threadsafe(pulse.beat, context=pulse.context)
        except RuntimeError:  # it has closed
            self._pulses.pop(loop, None)

    def running(self) -> tuple[Pulse, ...]:
        """Return the pulses of the loops that run at this moment."""
        return tuple(p for p in tuple(self._pulses.values()) if p.runs())
