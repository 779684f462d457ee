"""How many lines were given up, by reason."""

from __future__ import annotations

import time

from svcready._core import events

__all__ = ["Losses"]

_REPORT_EVERY_S = 1.0


class Losses:
    """
    Counts what is given up and publishes it as `ItemsDropped`.

    It has no lock: `count` and `take` are for who holds its owner's.

    Args:
        component: Whose lines they are.
    """

    __slots__ = ("_component", "_said_s", "by_reason", "unsaid")

    def __init__(self, component: str) -> None:
        self._component = component
        self._said_s = float("-inf")
        self.unsaid: dict[str, int] = {}
        """How many are still to be published."""
        self.by_reason: dict[str, int] = {}
        """How many since the process began."""

    @property
    def total(self) -> int:
        """How many for whichever reason."""
        return sum(self.by_reason.values())

    def count(self, reason: str, lines: int) -> None:
        """Count *lines* that were given up, which may be none."""
        if lines:
            self.by_reason[reason] = self.by_reason.get(reason, 0) + lines
            self.unsaid[reason] = self.unsaid.get(reason, 0) + lines

    def take(self, *, now: bool) -> list[events.ItemsDropped]:
        """Return what is to be published: at most once a second unless *now*."""
        now_s = time.monotonic()
        if not self.unsaid or not (now or now_s - self._said_s >= _REPORT_EVERY_S):
            return []

        self._said_s = now_s
        unsaid, self.unsaid = self.unsaid, {}
        of = self._component
        return [events.ItemsDropped(of, why, lines) for why, lines in unsaid.items()]
