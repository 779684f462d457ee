"""The instruments of levels: the gauge, and the up-down counter that only moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready.metrics._instruments._children import (
    GaugeChild,
    LockedGaugeChild,
    LockedUpDownCounterChild,
    UpDownCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._instrument import Instrument
from svcready.metrics._model import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._instruments._instrument import Increment, Spec
    from svcready.metrics._model import Family

__all__ = ["Gauge", "UpDownCounter"]


class UpDownCounter(Instrument[UpDownCounterChild]):
    """A sum of what was added and taken away: requests in flight, items in a queue."""

    __slots__ = ("dec", "inc")

    inc: Increment
    """Add an amount, 1 by default; for one that was declared without labels."""
    dec: Increment
    """Take an amount away, 1 by default; for one without labels."""

    def __init__(self, spec: Spec) -> None:
        atomic = adds_are_atomic()
        make = UpDownCounterChild if atomic else LockedUpDownCounterChild
        super().__init__(spec, make)
        if spec.labels:
            self.inc = self.unlabelled("inc")
            self.dec = self.unlabelled("dec")
        else:
            child = self._children[()]
            self.inc, self.dec = child.inc, child.dec

    def read(self) -> Family:
        """Return all series as they are now."""
        points = [Number(key, child.read()) for key, child in self.children().items()]
        return self.family("updowncounter", tuple(points))


class Gauge(Instrument[GaugeChild]):
    """A level that is set or observed, or rises and falls."""

    __slots__ = ("dec", "inc", "set", "set_function")

    set: Callable[[float], None]
    """Set the level; for a gauge that was declared without labels."""
    inc: Increment
    """Raise the level, by 1 by default; for a gauge without labels."""
    dec: Increment
    """Lower the level, by 1 by default; for a gauge without labels."""
    set_function: Callable[[Callable[[], float]], None]
    """Observe a function at each reading; for a gauge without labels."""

    def __init__(self, spec: Spec) -> None:
        make = GaugeChild if adds_are_atomic() else LockedGaugeChild
        if spec.workers == "latest":
            make = _DatedGaugeChild

        super().__init__(spec, make)
        if spec.labels:
            self.set = self.unlabelled("set")
            self.inc = self.unlabelled("inc")
            self.dec = self.unlabelled("dec")
            self.set_function = self.unlabelled("set_function")
        else:
            child = self._children[()]
            self.set, self.inc, self.dec = child.set, child.inc, child.dec
            self.set_function = child.set_function

    def read(self) -> Family:
        """Return all series as they are now."""
        points = []
        for key, child in self.children().items():
            value = child.read()
            if value is not None:
                points.append(Number(key, value))

        return self.family("gauge", tuple(points))

    def dates(self) -> dict[tuple[str, ...], float]:
        """
        Return when each series was set, in seconds of wall time; 0 if it never was.

        Only a gauge of which the latest value counts knows; of others it is empty.
        """
        return {
            key: child.dated_s()
            for key, child in self.children().items()
            if isinstance(child, _DatedGaugeChild)
        }


class _DatedGaugeChild(LockedGaugeChild):
    """One series of a gauge that must know which worker has set it last."""

    __slots__ = ("_at_s",)

    def __init__(self) -> None:
        super().__init__()
        self._at_s = 0.0

    def set(self, value: float) -> None:
        """Set the gauge."""
        super().set(value)
        self._at_s = SYSTEM_CLOCK.time_ns() / 1e9

    def inc(self, amount: float = 1) -> None:
        """Add *amount*."""
        super().inc(amount)
        self._at_s = SYSTEM_CLOCK.time_ns() / 1e9

    def dec(self, amount: float = 1) -> None:
        """Subtract *amount*."""
        super().dec(amount)
        self._at_s = SYSTEM_CLOCK.time_ns() / 1e9

    def dated_s(self) -> float:
        """Return when it was set; what is observed by a function is of now."""
        return self._at_s if self._function is None else SYSTEM_CLOCK.time_ns() / 1e9

    def reset(self) -> None:
        """Start again from zero."""
        super().reset()
        self._at_s = 0.0
