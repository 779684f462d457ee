"""A reservoir that lets so many through each second."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from svcready._core import fork

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Reservoir"]


class Reservoir:
    """
    Lets so many through each second, in bursts of up to one second's worth.

    It is the generic cell rate algorithm: one number, the time at which all that was
    taken is paid back, so a decision takes no lock. Threads that meet inside it may
    take one more each.

    Workers share one without asking each other: each takes its part of the rate, so
    that one a second among eight is one in eight seconds in each, and no worker is
    left without. A forked child begins with an empty one, at a random point of its
    turn, so that neither its burst nor its turn is its siblings'.

    Args:
        per_second: How many; 0 lets nothing through.
        clock: Its monotonic time is used.
        uniform: Draws from [0, 1).
    """

    __slots__ = (
        "__weakref__",
        "_burst_s",
        "_interval_s",
        "_now",
        "_paid_s",
        "_per_second",
        "_uniform",
    )

    def __init__(
        self,
        per_second: float,
        clock: Clock,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._now = clock.monotonic
        self._uniform = uniform
        self._per_second = per_second
        self._interval_s = 1.0 / per_second if per_second > 0 else 0.0
        self._burst_s = max(0.0, 1.0 - self._interval_s) + 1e-9
        self._paid_s = float("-inf") if per_second > 0 else float("inf")
        fork.reset_in_child(self.empty)

    def take(self) -> bool:
        """Take one, if there is one."""
        now = self._now()
        paid = self._paid_s
        if paid - now > self._burst_s:
            return False

        self._paid_s = max(now, paid) + self._interval_s
        return True

    def share(self, workers: int) -> None:
        """Take from now on the part of one among so many *workers*."""
        if self._per_second <= 0:
            return

        interval_s = max(workers, 1) / self._per_second
        if interval_s == self._interval_s:
            return

        # What is in it stays in it, and so does the part of a turn that has passed.
        now = self._now()
        owed_s = max(self._paid_s - now, 0.0)
        left = (self._burst_s - owed_s) / self._interval_s
        self._interval_s = interval_s
        self._burst_s = max(0.0, 1.0 - interval_s) + 1e-9
        self._paid_s = now + max(self._burst_s - left * interval_s, 0.0)

    def empty(self) -> None:
        """Begin anew with nothing in it."""
        if self._per_second > 0:
            turn_s = self._uniform() * self._interval_s
            self._paid_s = self._now() + self._burst_s + turn_s
