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
_MOST_DOUBTS = 3


class Contact:
    """
    What a process knows of one shared store.

    The store counts as there until it fails. Then it is asked again after a second,
    twice as long each time up to half a minute, each wait spread by half; it begins
    anew once the store has been there for half a minute.

    A request that had no answer in time proves less: this process may have been held
    up. The store is doubted then: not used, asked at once, and lost if it does not
    answer that either, or if requests are not answered three times in a row.

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
        self._doubts = 0
        self._is_lost = False
        self._in_a_row = 0
        self._lost_at_s = 0.0
        self._again_at_s = 0.0
        self._back_at_s = clock.monotonic()
        fork.reset_in_child(self._reset_in_child)

    def wait_s(self) -> float:
        """Return for how many more seconds it is left alone."""
        if not self._is_lost:
            return 0.0

        return max(0.0, self._again_at_s - self._clock.monotonic())

    def failed(self, reason: str, code: str = "") -> None:
        """
        Take note that it did not answer.

        Args:
            reason: A fixed word: `timeout`, `connection`, ...
            code: What the server's own error begins with: `NOAUTH`, ...
        """
        with self._lock:
            self._failures[reason] += 1
            is_new = self._lose()

        if is_new:
            publish(StoreLost(self.name, reason, code))

    def doubted(self, reason: str) -> None:
        """
        Take note that a request had no answer, for a reason that may be ours.

        Args:
            reason: A fixed word: `timeout`, `connection`, ...
        """
        with self._lock:
            self._failures[reason] += 1
            if not self.is_up:  # one of many at once counts
                return

            self.is_up = False
            self._doubts += 1
            is_new = self._doubts >= _MOST_DOUBTS and self._lose()

        if is_new:
            publish(StoreLost(self.name, reason))

    def served(self) -> None:
        """Take note that a request was answered; cheap."""
        if self._doubts:
            self._doubts = 0

    def missed(self, reason: str) -> None:
        """Count that it was not asked for a reason of ours, which is no loss."""
        with self._lock:
            self._failures[reason] += 1

    def answered(self) -> None:
        """Take note that it answered when it was asked whether it is there."""
        if self.is_up:
            return

        with self._lock:
            was_lost, self._is_lost = self._is_lost, False
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

    def _lose(self) -> bool:
        """Leave it alone for a while; return whether that is new. The lock is held."""
        now_s = self._clock.monotonic()
        is_new = not self._is_lost
        self._is_lost, self.is_up = True, False
        if is_new:
            self._lost_at_s = now_s
            if now_s - self._back_at_s >= _LONGEST_S:
                self._in_a_row = 0

        if is_new or now_s >= self._again_at_s:  # one of many at once counts
            doublings = min(self._in_a_row, _MAX_DOUBLINGS)
            wait_s = min(_LONGEST_S, _FIRST_S * 2.0**doublings)
            self._again_at_s = now_s + wait_s * (0.5 + self._rng())
            self._in_a_row += 1

        return is_new

    def _reset_in_child(self) -> None:
        self._lock = threading.Lock()
        self._failures.clear()  # the parent counts its own
