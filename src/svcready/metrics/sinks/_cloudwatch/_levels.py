"""Levels are sent once, however many flushes come at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.metrics.sinks._cloudwatch._data import Datum, Key

__all__ = ["RecentLevels"]

_MOMENT_S = 0.5


class RecentLevels:
    """
    Leaves out levels that were collected a moment ago and have not moved since.

    A service that stops is flushed when its server stops, when the process ends, and
    before each: counts are then added once, but every copy of a level would count in
    its average, sum and number of samples.

    Args:
        clock: Tells what a moment ago is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._collected: dict[Key, tuple[float, float]] = {}

    def without(self, datums: list[Datum]) -> list[Datum]:
        """Return *datums* without the levels that are told again."""
        now_s = self._clock.monotonic()
        known = self._collected
        self._collected = {}
        kept = []
        for datum in datums:
            if datum.kind == "level":
                value, at_s = known.get(datum.key, (0.0, float("-inf")))
                if value == datum.value and now_s - at_s < _MOMENT_S:
                    self._collected[datum.key] = (value, at_s)
                    continue

                self._collected[datum.key] = (datum.value, now_s)

            kept.append(datum)

        return kept

    def forget(self) -> None:
        """Know of none: a forked child has sent nothing yet."""
        self._collected = {}
