"""Tells a process that was stopped for a while from one that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Awake"]

_LEAST_GAP_S = 5.0


class Awake:
    """
    Knows since when this process has been running without a gap.

    A process that was stopped (SIGSTOP, a paused container, a machine put to sleep)
    finds everything overdue when it goes on, and nothing of it hangs: what is judged
    by its age is judged from then on. To be asked about once a second.

    Args:
        now: The monotonic clock, in seconds.
        gap_s: A longer pause between two questions was a stop.
    """

    def __init__(self, now: Callable[[], float], gap_s: float = 0.0) -> None:
        self._now = now
        self._gap_s = max(_LEAST_GAP_S, gap_s)
        self._asked_s = self._since_s = now()

    def since(self) -> float:
        """Return since when, in seconds of the monotonic clock."""
        now_s = self._now()
        if now_s - self._asked_s > self._gap_s:
            self._since_s = now_s

        self._asked_s = now_s
        return self._since_s
