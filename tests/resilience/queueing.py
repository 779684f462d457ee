"""A service with so many servers and one queue, simulated on a fake clock."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from svcready.resilience._shed._shedder import Shedder
from svcready.testing import FakeClock

__all__ = ["Answer", "Service", "exponential", "percentile"]


class Answer(NamedTuple):
    """What became of a request."""

    at_s: float
    priority: str
    latency_s: float | None
    """None: refused."""


def exponential(mean_s: float) -> Callable[[random.Random, float], float]:
    """Take so long on average."""
    return lambda rng, _: rng.expovariate(1.0 / mean_s)


def percentile(answers: list[Answer], share: float) -> float:
    """Return the latency that *share* of those who were served did not exceed."""
    served = sorted(a.latency_s for a in answers if a.latency_s is not None)
    return served[min(len(served) - 1, int(share * len(served)))]


class Service:
    """
    Poisson arrivals, a queue first in first out, and servers; no thread, no waiting.

    Args:
        shedder: Who admits.
        clock: Its clock.
        servers: How many requests are served at a time.
        takes: How long one takes, from the generator and the time.
        rate: Arrivals a second, from the time.
        mix: The classes and their weights.
        seed: Of the generator.
    """

    def __init__(
        self,
        shedder: Shedder,
        clock: FakeClock,
        servers: int,
        takes: Callable[[random.Random, float], float],
        rate: Callable[[float], float],
        *,
        mix: dict[str, float] | None = None,
        seed: int = 1,
    ) -> None:
        self._shedder, self._clock, self._servers = shedder, clock, servers
        self._takes, self._rate = takes, rate
        self._mix = mix or {"default": 1.0}
        self._rng = random.Random(seed)
        self._begin_s = clock.monotonic()
        self._events: list[tuple[float, int, tuple[float, str, int] | None]] = []
        self._queue: deque[tuple[float, str, int]] = deque()
        self._busy = self._made = 0
        self.answers: list[Answer] = []
        self.limits: list[int] = []

    def run(self, until_s: float) -> list[Answer]:
        """Let the clock pass to *until_s* since the beginning; return the answers."""
        first = len(self.answers)
        if not self._made:
            self._push(self._next_arrival(0.0), None)

        while self._events[0][0] <= until_s:
            now_s, _, request = heapq.heappop(self._events)
            self._clock.advance(self._begin_s + now_s - self._clock.monotonic())
            if request is None:
                self._push(self._next_arrival(now_s), None)
                self._arrive(now_s)
            else:
                self._end(now_s, request)

            self.limits.append(self._shedder.limit)

        return self.answers[first:]

    def _next_arrival(self, now_s: float) -> float:
        return now_s + self._rng.expovariate(self._rate(now_s))

    def _push(self, at_s: float, request: tuple[float, str, int] | None) -> None:
        self._made += 1
        heapq.heappush(self._events, (at_s, self._made, request))

    def _arrive(self, now_s: float) -> None:
        (priority,) = self._rng.choices([*self._mix], [*self._mix.values()])
        admission = self._shedder.enter(priority)
        if not admission:
            self.answers.append(Answer(now_s, priority, None))
            return

        self._queue.append((now_s, priority, admission))
        self._serve(now_s)

    def _serve(self, now_s: float) -> None:
        while self._queue and self._busy < self._servers:
            self._busy += 1
            took_s = self._takes(self._rng, now_s)
            self._push(now_s + took_s, self._queue.popleft())

    def _end(self, now_s: float, request: tuple[float, str, int]) -> None:
        began_s, priority, admission = request
        self._busy -= 1
        self._shedder.leave(admission, now_s - began_s)
        self.answers.append(Answer(now_s, priority, now_s - began_s))
        self._serve(now_s)
