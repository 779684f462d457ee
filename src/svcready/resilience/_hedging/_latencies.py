"""How long calls have lately taken: a percentile from logarithmic bins."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from svcready._core import fork

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["Latencies"]

_BINS = 128
_LEAST_S = 1e-4
_GROWTH = math.log(1.12)  # the last bin begins at 178 s
_WINDOW_S = 30.0
_REFRESH_S = 1.0
_MIN_CALLS = 50


class Latencies:
    """
    The durations of one policy's calls in the last 30 to 60 s.

    The percentile is a bin's upper edge, so up to 12 % too high and never too low; it
    is computed once a second.

    Args:
        clock: Monotonic time.
    """

    __slots__ = (
        "__weakref__",
        "_before",
        "_bins",
        "_clock",
        "_edge_s",
        "_lock",
        "_refresh_s",
        "_value_s",
    )

    def __init__(self, clock: Clock) -> None:
        self._lock = threading.RLock()  # finalizers come back
        self.use(clock)
        fork.reset_in_child(self._reset)

    def use(self, clock: Clock) -> None:
        """Read *clock* from now on, and begin anew."""
        with self._lock:
            self._clock = clock
            self._bins, self._before = [0] * _BINS, [0] * _BINS
            self._edge_s = clock.monotonic() + _WINDOW_S
            self._refresh_s = -math.inf
            self._value_s = math.inf

    def add(self, duration_s: float) -> None:
        """Take how long a call took, or at least took if it was cut off."""
        place = math.log(duration_s / _LEAST_S) / _GROWTH if duration_s > 0.0 else 0.0
        index = min(max(int(place), 0), _BINS - 1)
        with self._lock:
            self._advance(self._clock.monotonic())
            self._bins[index] += 1

    def percentile_s(self, share: float) -> float:
        """
        Return how long the given share of calls takes at most, in seconds.

        Returns:
            inf as long as there were fewer than 50 calls.
        """
        with self._lock:
            now_s = self._clock.monotonic()
            if now_s < self._refresh_s:
                return self._value_s

            self._advance(now_s)
            self._refresh_s = now_s + _REFRESH_S
            counts = [
                now + old for now, old in zip(self._bins, self._before, strict=True)
            ]
            total = sum(counts)
            self._value_s = math.inf
            if total >= _MIN_CALLS:
                rank, seen = share * total, 0
                for index, count in enumerate(counts):
                    seen += count
                    if seen >= rank:
                        self._value_s = _LEAST_S * math.exp(_GROWTH * (index + 1))
                        break

            return self._value_s

    def _advance(self, now_s: float) -> None:
        if now_s >= self._edge_s:
            fresh = now_s < self._edge_s + _WINDOW_S
            self._before = self._bins if fresh else [0] * _BINS
            self._bins = [0] * _BINS
            self._edge_s = now_s + _WINDOW_S

    def _reset(self) -> None:
        self._lock = threading.RLock()
