"""How long a circuit breaker stays open."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready.resilience._config import BreakerConfig

__all__ = ["Opening"]

_JITTER = 0.2
_MAX_DOUBLINGS = 30


class Opening:
    """
    How often a breaker has opened of late, and until when it is open.

    Guarded by its owner's lock.
    """

    __slots__ = ("closed_since_s", "since_s", "times", "until_s")

    def __init__(self) -> None:
        self.until_s = -math.inf
        """Until when it stays open, if it is."""
        self.closed_since_s = -math.inf
        """Since when it is closed; inf: it is not, or was not yet since it opened."""
        self.since_s = -math.inf
        """Since when the breaker is in its state; -inf: it never moved."""
        self.times = 0
        """How often it has opened, a quiet window forgetting it."""

    def begin(
        self, config: BreakerConfig, now_s: float, drawn: float, wanted_s: float
    ) -> float:
        """
        Open, and return for how many seconds.

        Args:
            config: The breaker's numbers.
            now_s: The time now.
            drawn: From [0, 1), for the jitter.
            wanted_s: How long, before jitter; 0: twice as long as the last time.
        """
        if now_s - self.closed_since_s >= config.window_s:
            self.times = 0

        self.closed_since_s = math.inf
        self.times += 1
        doubled_s = config.open_s * 2.0 ** min(self.times - 1, _MAX_DOUBLINGS)
        open_s = min(config.open_max_s, wanted_s or doubled_s)
        open_s *= 1.0 - _JITTER + 2.0 * _JITTER * drawn
        self.until_s = now_s + open_s
        return open_s

    def moved(self, now_s: float, *, closed: bool) -> None:
        """Take note that the breaker is in another state now."""
        self.since_s = now_s
        if closed:
            self.closed_since_s = now_s

    def forget(self) -> None:
        """Begin as though it had never opened."""
        self.times = 0
        self.closed_since_s = -math.inf

    def shift(self, by_s: float) -> None:
        """Carry its times over to a clock that is ahead by *by_s*."""
        self.until_s += by_s
        self.closed_since_s += by_s
        self.since_s += by_s
