"""What is billed: the distinct CloudWatch metrics that this process sends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from svcready._core.events import publish
from svcready.metrics._events import MetricBudgetExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready._core.clock import Clock
    from svcready.metrics.sinks._cloudwatch._data import Datum

__all__ = ["Billed"]

_HOUR_S = 3600.0
_MOST_SHOWN = 5


class Billed:
    """
    Counts distinct metrics (a name with its dimensions) sent within the last hour.

    CloudWatch bills each by the hour in which something was sent of it. Beyond the
    budget it is told of, once until there are fewer again.

    Args:
        budget: From how many on.
        clock: Says when an hour is over.
    """

    def __init__(self, budget: int, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._sent_s: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._told = False

    def sent(self, datums: Iterable[Datum]) -> None:
        """Take note of what is sent now."""
        now_s = self._clock.monotonic()
        sent_s = self._sent_s
        for datum in datums:
            sent_s[datum.name, datum.dimensions] = now_s

        if (
            len(sent_s) > self._budget
            and not self._told
            and self.count() > self._budget
        ):
            self._told = True
            shares = Counter(name for name, _ in tuple(sent_s))
            largest = tuple(shares.most_common(_MOST_SHOWN))
            publish(MetricBudgetExceeded(len(sent_s), self._budget, largest))

    def count(self) -> int:
        """Return how many there are now."""
        since_s = self._clock.monotonic() - _HOUR_S
        late = [key for key, at_s in tuple(self._sent_s.items()) if at_s < since_s]
        for key in late:
            self._sent_s.pop(key, None)

        if len(self._sent_s) <= self._budget:
            self._told = False

        return len(self._sent_s)

    def reset(self) -> None:
        """Begin anew in a forked child."""
        self._sent_s = {}
        self._told = False
