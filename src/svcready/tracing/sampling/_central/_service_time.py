"""The time of the service: when something ends that it dates by its own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["ServiceTime"]

_SAME_S = 2.0


class ServiceTime:
    """
    Tells the service's time from its answers, so that our wall clock may jump.

    What the service dates is turned into monotonic time when it arrives. An answer's
    `Date` says how late it is there; without one our own clock has to do.

    Args:
        clock: Ours.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: float | None = None

    def learn(self, date_s: float | None) -> None:
        """
        Take note of an answer that has just come.

        Args:
            date_s: The `Date` of the answer, whole seconds; None if it had none.
        """
        ours_s = self._wall()
        # Where the two agree as far as whole seconds can, ours is the finer one.
        agree = date_s is None or abs(ours_s - date_s) <= _SAME_S
        there_s = ours_s if agree or date_s is None else date_s
        self._ahead_s = there_s - self._clock.monotonic()

    def epoch(self) -> float:
        """Return the service's time now, in seconds since the epoch."""
        if self._ahead_s is None:
            return self._wall()

        return self._clock.monotonic() + self._ahead_s

    def left_s(self, epoch_s: float) -> float:
        """Return how many seconds are left until *epoch_s*; negative if it is past."""
        return epoch_s - self.epoch()

    def _wall(self) -> float:
        return self._clock.time_ns() / 10**9  # by a float it would be rounded twice
