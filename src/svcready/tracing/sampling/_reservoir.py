"""A reservoir that lets so many through each second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["Reservoir"]


class Reservoir:
    """
    Lets so many through each second, in bursts of up to one second's worth.

    It is the generic cell rate algorithm: one number, the time at which all that was
    taken is paid back, so a decision takes no lock. Threads that meet inside it may
    take one more each.

    Args:
        per_second: How many; 0 lets nothing through.
        clock: Its monotonic time is used.
    """

    __slots__ = ("_burst_s", "_interval_s", "_now", "_paid_s")

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._now = clock.monotonic
        self._interval_s = 1.0 / per_second if per_second > 0 else 0.0
        self._burst_s = max(0.0, 1.0 - self._interval_s) + 1e-9
        self._paid_s = float("-inf") if per_second > 0 else float("inf")

    def take(self) -> bool:
        """Take one, if there is one."""
        now = self._now()
        paid = self._paid_s
        if paid - now > self._burst_s:
            return False

        self._paid_s = max(now, paid) + self._interval_s
        return True
