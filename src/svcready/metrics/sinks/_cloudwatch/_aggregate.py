"""Aggregates series that share a name and dimensions into one datum each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, publish
from svcready.metrics.sinks._cloudwatch._data import Datum, merge_scaled

if TYPE_CHECKING:
    from svcready.metrics._sketch import Sketch
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
        made = [
            *(Datum(*key, "count", value) for key, value in self._counts.items()),
            *(Datum(*key, "level", value) for key, value in self._levels.items()),
            *(
                Datum(*key, "distribution", 0.0, sketch, scale)
                for key, (sketch, scale) in self._sketches.items()
                if sketch.count
            ),
        ]
        good = [datum for datum in made if _is_taken(datum)]
        lost = len(made) - len(good) + self._invalid
        if lost:
            publish(ItemsDropped("metrics.cloudwatch", "invalid_value", lost))

        return good


def _is_taken(datum: Datum) -> bool:
    if datum.sketch is None:
        return math.isfinite(datum.value) and abs(datum.value) <= _MOST

    shown = datum.statistics()
    ends = (shown.sum, shown.min, shown.max)
    return all(math.isfinite(end) and abs(end) <= _MOST for end in ends)
