"""Whether a store that is shared answers, and when it is asked again if not."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.events import publish
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._retrying._backoff import uniform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock

__all__ = ["Contact"]

_FIRST_S = 1.0
_LONGEST_S = 30.0
_MAX_DOUBLINGS = 10


class Contact:
    """
    What a process knows of one shared store.

    The store counts as there until it fails. Then it is asked again after a second,
    twice as long each time up to half a minute, each wait spread by half; it begins
    anew once the store has been there for half a minute.

    Args:
        name: Whose store: `breakers`, `rate_limits`.
        clock: Monotonic time.
        rng: Draws from [0, 1), for the spread.
    """

    def __init__(
        self, name: str, clock: Clock, rng: Callable[[], float] = uniform
    ) -> None:
        self.name = name
        self.is_up = True
        """Whether it is worth asking; read without the lock."""
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._in_a_row = 0
        self._lost_at_s = 0.0
        self._again_at_s = 0.0
        self._back_at_s = clock.monotonic()
        fork.reset_in_child(self._reset_in_child)

    def wait_s(self) -> float:
        """Return for how many more seconds it is left alone."""
        if self.is_up:
            return 0.0

        return max(0.0, self._again_at_s - self._clock.monotonic())

    def failed(self, reason: str) -> None:
        """
        Take note that it did not answer.

        Args:
            reason: A fixed word: `timeout`, `connection`, ...
        """
        with self._lock:
            now_s = self._clock.monotonic()
            self._failures[reason] += 1
            was_up, self.is_up = self.is_up, False
            if was_up:
                self._lost_at_s = now_s
                if now_s - self._back_at_s >= _LONGEST_S:
                    self._in_a_row = 0

            if was_up or now_s >= self._again_at_s:  # one of many at once counts
                doublings = min(self._in_a_row, _MAX_DOUBLINGS)
                wait_s = min(_LONGEST_S, _FIRST_S * 2.0**doublings)
                self._again_at_s = now_s + wait_s * (0.5 + self._rng())
                self._in_a_row += 1

        if was_up:
            publish(StoreLost(self.name, reason))

    def missed(self, reason: str) -> None:
        """Count that it was not asked for a reason of ours, which is no loss."""
        with self._lock:
            self._failures[reason] += 1

    def answered(self) -> None:
        """Take note that it answered."""
        if self.is_up:
            return

        with self._lock:
            was_lost = not self.is_up
            now_s = self._clock.monotonic()
            lost_s = now_s - self._lost_at_s
            if was_lost:
                self._back_at_s = now_s

            self.is_up = True

        if was_lost:
            publish(StoreBack(self.name, lost_s))

    def failures(self) -> Mapping[str, int]:
        """Return how often it failed, by reason."""
        with self._lock:
            return dict(self._failures)

    def _reset_in_child(self) -> None:
        self._lock = threading.Lock()
        self._failures.clear()  # the parent counts its own
