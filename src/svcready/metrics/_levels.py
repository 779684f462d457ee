"""The instruments of levels: the gauge, and the up-down counter that only moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._children import (
    GaugeChild,
    LockedGaugeChild,
    LockedUpDownCounterChild,
    UpDownCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments import Instrument
from svcready.metrics._model import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._instruments import Increment, Spec
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
