"""Aggregates series that share a name and dimensions into one datum each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, publish
from svcready.metrics.sinks._cloudwatch._data import Datum, merge_scaled

if TYPE_CHECKING:
    from svcready.metrics._instruments._sketch import Sketch
    from svcready.metrics.sinks._cloudwatch._data import Key

__all__ = ["Aggregate"]

_MOST = 2.0**360
"""The largest value that CloudWatch takes, of either sign."""


class Aggregate:
    """The datums of one interval in the making."""

    def __init__(self) -> None:
        self._counts: dict[Key, float] = {}
        self._levels: dict[Key, float] = {}
        self._sketches: dict[Key, tuple[Sketch, float]] = {}
        self._invalid = 0

    def count(self, key: Key, added: float) -> None:
        """Add to a count."""
        if not math.isfinite(added):
            self._invalid += 1
            return

        self._counts[key] = self._counts.get(key, 0.0) + added

    def level(self, key: Key, value: float, mode: str) -> None:
        """Combine a level with others of the same key, as its metric's processes do."""
        if not math.isfinite(value):  # it must not spoil the others
            self._invalid += 1
            return

        known = self._levels.get(key)
        if known is None or mode == "latest":
            self._levels[key] = value
        elif mode == "max":
            self._levels[key] = max(known, value)
        elif mode == "min":
            self._levels[key] = min(known, value)
        else:
            self._levels[key] = known + value

    def distribute(self, key: Key, sketch: Sketch, scale: float = 1.0) -> None:
        """Merge a copy of *sketch*, whose values are *scale* times smaller."""
        known = self._sketches.get(key)
        if known is None:
            self._sketches[key] = (sketch.copy(), scale)
        else:
            merge_scaled(*known, sketch, scale)

    def datums(self) -> list[Datum]:
        """Return what CloudWatch takes; the rest is counted as dropped."""
        made: list[Datum] = []
        for kind, found in (("count", self._counts), ("level", self._levels)):
            made += [
                Datum(*key, kind, value)
                for key, value in found.items()
                if -_MOST <= value <= _MOST
            ]

        recorded = [
            Datum(*key, "distribution", 0.0, sketch, scale)
            for key, (sketch, scale) in self._sketches.items()
            if sketch.count
        ]
        made += filter(_is_taken, recorded)
        all_made = len(self._counts) + len(self._levels) + len(recorded)
        lost = all_made - len(made) + self._invalid
        if lost:
            publish(ItemsDropped("metrics.cloudwatch", "invalid_value", lost))

        return made


def _is_taken(datum: Datum) -> bool:
    shown = datum.statistics()
    ends = (shown.sum, shown.min, shown.max)
    return all(math.isfinite(end) and abs(end) <= _MOST for end in ends)
