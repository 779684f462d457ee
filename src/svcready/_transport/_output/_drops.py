"""What one component lost: counted by reason and level, and told of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from svcready._core import events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Drops", "Recovered"]

_REPORT_EVERY_S = 1.0


class Recovered:
    """
    A destination takes lines again, after some were lost.

    Args:
        lost: How many lines were lost, by reason and level.
        blocked_s: For how long it took none, in seconds.
    """

    __slots__ = ("blocked_s", "lost")

    def __init__(self, lost: Mapping[tuple[str, int], int], blocked_s: float) -> None:
        self.lost = lost
        self.blocked_s = blocked_s

    @property
    def lines(self) -> int:
        """How many lines were lost."""
        return sum(self.lost.values())


class Drops:
    """
    The lost lines of one component.

    Args:
        component: Whose lines they are.
        monotonic: Seconds, for how often they are published.
    """

    def __init__(
        self, component: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._component = component
        self._monotonic = monotonic
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a child does: its parent counts its own."""
        self.totals: dict[tuple[str, int], int] = {}
        self.unsaid: dict[str, int] = {}
        """What was not published yet, by reason."""
        self._untold: dict[tuple[str, int], int] = {}
        self._said_s = float("-inf")

    def count(self, reason: str, level: int, lines: int = 1) -> None:
        """
        Count *lines*, which may be none, as lost; under the lock of who owns this.

        Args:
            reason: Why.
            level: How grave they were; 0 where that is not told apart.
            lines: How many.
        """
        if not lines:
            return

        key = reason, level
        self.totals[key] = self.totals.get(key, 0) + lines
        self._untold[key] = self._untold.get(key, 0) + lines
        self.unsaid[reason] = self.unsaid.get(reason, 0) + lines

    @property
    def total(self) -> int:
        """How many lines were lost for whichever reason."""
        return sum(self.totals.values())

    def by_reason(self) -> dict[str, int]:
        """Return how many lines were lost for which reason."""
        reasons: dict[str, int] = {}
        for (reason, _), lines in tuple(self.totals.items()):
            reasons[reason] = reasons.get(reason, 0) + lines

        return reasons

    def take_unsaid(self, *, now: bool = False) -> dict[str, int]:
        """
        Return what `publish` is to tell; under the owner's lock.

        Nothing, if that was done within the last second and it is not asked for *now*.
        """
        if not self.unsaid:
            return {}

        now_s = self._monotonic()
        if not now and now_s - self._said_s < _REPORT_EVERY_S:
            return {}

        self._said_s = now_s
        unsaid, self.unsaid = self.unsaid, {}
        return unsaid

    def publish(self, unsaid: Mapping[str, int]) -> None:
        """Publish what `take_unsaid` returned; under no lock."""
        for reason, lines in unsaid.items():
            events.publish(events.ItemsDropped(self._component, reason, lines))

    def take_untold(self) -> dict[tuple[str, int], int]:
        """Return what was lost since the last call; under the owner's lock."""
        untold, self._untold = self._untold, {}
        return untold
