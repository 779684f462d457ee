"""The time at which a check's whole conversation with a peer ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadline", "share_of"]

_SHARE = 0.95


class Deadline:
    """
    One end for everything that a check does, however many reads that takes.

    A time-out per read is none: a peer that sends a byte a second keeps each of them.

    Args:
        allowed_s: The run's time-out. The end comes a little before it, so that the
            check itself can say what it waited for.
        monotonic: The clock.
    """

    __slots__ = ("_at_s", "_monotonic", "allowed_s")

    def __init__(
        self, allowed_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.allowed_s = allowed_s
        self._monotonic = monotonic
        self._at_s = monotonic() + allowed_s * _SHARE

    def left_s(self) -> float:
        """
        Return the seconds that are left, more than none.

        Raises:
            TimeoutError: None are.
        """
        left_s = self._at_s - self._monotonic()
        if left_s <= 0:
            raise TimeoutError

        return left_s


def share_of(allowed_s: float) -> float:
    """Return the time-out for a client that has one for all it does."""
    return allowed_s * _SHARE
