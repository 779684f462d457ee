"""Pressure: what tells the application that it will soon be refusing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from svcready._core import fork
from svcready._core.guard import report_foreign
from svcready.errors import DeclarationError
from svcready.resilience._layering._kinds import Kind, kind_of
from svcready.resilience._limiting._inbound import INBOUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["GAUGE", "Pressure", "PressureGauge", "on_pressure", "pressure"]

_TELL_FROM = 0.8
_TELL_EVERY_S = 1.0
_KEPT_S = 10.0

F = TypeVar("F", bound="Callable[[Pressure], object]")


class Pressure(NamedTuple):
    """What presses, and how hard."""

    source: str
    """`limit` or `shedding`."""
    name: str
    """The limit's name; of shedding the class that it begins to refuse."""
    level: float
    """From 0 to 1, where requests are being refused."""


class PressureGauge:
    """The latest level of everything that can press, and who wants to know of it."""

    def __init__(self) -> None:
        self._callbacks: tuple[Callable[[Pressure], object], ...] = ()
        self._levels: dict[tuple[str, str], tuple[float, float, Clock]] = {}
        self._next_s: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        fork.reset_in_child(self._reset)

    def add(self, callback: Callable[[Pressure], object]) -> None:
        """Have *callback* told; a second time changes nothing."""
        with self._lock:
            if callback not in self._callbacks:
                self._callbacks = (*self._callbacks, callback)

    def note(self, source: str, name: str, level: float, clock: Clock) -> None:
        """
        Take a level, and tell of it from 0.8 on, once a second for each name.

        Args:
            source: `limit` or `shedding`.
            name: Which; a declared name, of which there are few.
            level: From 0 to 1.
            clock: Monotonic time.
        """
        now_s = clock.monotonic()
        subject = (source, name)
        self._levels[subject] = (level, now_s, clock)
        callbacks = self._callbacks
        if level < _TELL_FROM or not callbacks:
            return

        with self._lock:
            due_s = self._next_s.get(subject, now_s)
            if now_s < due_s <= now_s + _TELL_EVERY_S:  # later: of another clock
                return

            self._next_s[subject] = now_s + _TELL_EVERY_S

        for callback in callbacks:
            try:
                callback(Pressure(source, name, level))
            except Exception as error:  # noqa: BLE001 - the request goes on
                report_foreign("on_pressure", error)

    def level(self, source: str | None = None) -> float:
        """Return the highest level of the last ten seconds."""
        return max(
            (
                level
                for (of, _), (level, at_s, clock) in tuple(self._levels.items())
                if source in {None, of} and clock.monotonic() - at_s < _KEPT_S
            ),
            default=0.0,
        )

    def forget(self) -> None:
        """Forget all levels and callbacks, for tests."""
        with self._lock:
            self._callbacks = ()
            self._levels, self._next_s = {}, {}

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._levels, self._next_s = {}, {}


GAUGE = PressureGauge()
"""The one of the process."""


def on_pressure(callback: F) -> F:
    """
    Have *callback* called before requests are refused, so that less can be done.

    It is told when a caller has used four fifths of a limit, and when load shedding
    begins; at most once a second for each name, by the request that found it so: it
    must be quick. An error in it is reported and goes no further. Decorates, or is
    called.

    Args:
        callback: A function of a `Pressure`.

    Raises:
        DeclarationError: It is no function, or one that would have to be awaited.
    """
    if not callable(callback) or kind_of(callback) is not Kind.PLAIN:
        raise DeclarationError(f"on_pressure({callback!r}): use a plain function")

    GAUGE.add(callback)
    return callback


def pressure() -> float:
    """
    Return how near requests are to being refused: from 0 to 1.

    Within a request it is that caller's own: the most that is used of a limit that
    holds for it, or the load on the service if that is higher. Elsewhere it is the
    highest of the last ten seconds.
    """
    request = INBOUND.get()
    if request is None:
        return GAUGE.level()

    own = (getattr(one, "level", 0.0) for one in request.admitted)
    return max(GAUGE.level("shedding"), *own, 0.0)
