"""How late event loops call back: the time in which nobody is served."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from svcready._core import fork
from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["LoopLag"]

_EVERY_S = 0.25


class LoopLag:
    """
    Has every watched loop call back four times a second, and notes how late it is.

    A loop is not kept alive by it, nor kept running; one that closes is forgotten.

    Args:
        observe: Takes each delay in seconds, on the loop's thread.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._begin_anew()
        fork.reset_in_child(self._begin_anew)

    def _begin_anew(self) -> None:
        self._watched: WeakSet[AbstractEventLoop] = WeakSet()
        self._pulses: WeakSet[_Pulse] = WeakSet()

    def watch(self, loop: AbstractEventLoop) -> None:
        """Watch *loop* from now on, once; from any thread."""
        if loop in self._watched:
            return

        self._watched.add(loop)
        pulse = _Pulse(loop, self._observe)
        self._pulses.add(pulse)
        try:
            # A context of its own, or it would keep that of a request for ever.
            loop.call_soon_threadsafe(pulse.begin, context=pulse.context)
        except RuntimeError:  # it has closed
            pass

    def close(self) -> None:
        """Watch no more; each loop's last call comes and does nothing."""
        for pulse in tuple(self._pulses):
            pulse.stopped = True

        self._begin_anew()


class _Pulse:
    """The chain of calls on one loop, which alone holds it."""

    __slots__ = ("__weakref__", "_due_s", "_loop", "_observe", "context", "stopped")

    def __init__(
        self, loop: AbstractEventLoop, observe: Callable[[float], None]
    ) -> None:
        self._loop = ref(loop)
        self._observe = observe
        self._due_s = 0.0
        self.context = Context()
        self.stopped = False

    def begin(self) -> None:
        """Plan the next call."""
        loop = self._loop()
        if loop is not None and not self.stopped:
            self._due_s = loop.time() + _EVERY_S
            loop.call_at(self._due_s, self._beat, context=self.context)

    def _beat(self) -> None:
        loop = self._loop()
        if loop is None or self.stopped:
            return

        try:
            # A selector may wake some microseconds early.
            self._observe(max(0.0, loop.time() - self._due_s))
            self.begin()
        except Exception as error:  # noqa: BLE001 - a loop that ends just now
            report_fault("loop_lag", error)
