"""The outcomes of the last seconds, in ten buckets."""

from __future__ import annotations

__all__ = ["BUCKETS", "Window"]

BUCKETS = 10


class Window:
    """
    Counts over a sliding time window; plain arithmetic, guarded by its owner.

    The window holds the current bucket and the nine before it, so it covers between
    nine and ten tenths of its length.

    Args:
        length_s: What it covers, in seconds.
        now_s: The monotonic time now.
    """

    __slots__ = ("_buckets", "_tick", "calls", "edge", "failures", "slow", "width_s")

    def __init__(self, length_s: float, now_s: float) -> None:
        self.width_s = length_s / BUCKETS
        self.calls = 0
        self.failures = 0
        self.slow = 0
        self._buckets = [[0, 0, 0] for _ in range(BUCKETS)]
        self._tick = int(now_s // self.width_s)
        self.edge = (self._tick + 1) * self.width_s
        """When the current bucket ends."""

    def advance(self, now_s: float) -> None:
        """Forget the buckets that lie outside the window at *now_s*."""
        tick = int(now_s // self.width_s)
        passed = tick - self._tick
        if passed <= 0:
            return

        for step in range(1, min(passed, BUCKETS) + 1):
            bucket = self._buckets[(self._tick + step) % BUCKETS]
            self.calls -= bucket[0]
            self.failures -= bucket[1]
            self.slow -= bucket[2]
            bucket[:] = (0, 0, 0)

        self._tick = tick
        self.edge = (tick + 1) * self.width_s

    def add(self, calls: int, failures: int = 0, slow: int = 0) -> None:
        """Count into the current bucket."""
        bucket = self._buckets[self._tick % BUCKETS]
        bucket[0] += calls
        bucket[1] += failures
        bucket[2] += slow
        self.calls += calls
        self.failures += failures
        self.slow += slow

    def moved(self, length_s: float, now_s: float) -> Window:
        """Return a window of another length or clock with the same totals in it."""
        window = Window(length_s, now_s)
        window.add(self.calls, self.failures, self.slow)
        return window
