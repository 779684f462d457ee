"""The load shedder's state: how much is in flight, and who may still come in."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.config._priorities_text import CLASSES
from svcready.resilience._outbox import Outbox
from svcready.resilience._retrying._backoff import uniform
from svcready.resilience._shed._gradient import GradientConfig, GradientLimit, Window
from svcready.resilience._shed._story import Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Shedder", "SheddingConfig", "SheddingState"]

_PERCENT = (100, 90, 70)
_RETRY_SPREAD_S = 2
_LEAST_S = 1e-6
_PRESSES = 0.8


def _tell_nobody(priority: str, level: float) -> None:
    """Tell nobody of the pressure."""


class SheddingConfig(NamedTuple):
    """What a shedder decides by."""

    mode: str = "enforce"
    """`enforce`; `observe`: decide and tell, and let all in; `off`: not asked."""
    gradient: GradientConfig = GradientConfig()
    """What its limit moves by."""
    window_s: float = 1.0
    """How long latencies are collected before the limit moves, in seconds."""
    min_samples: int = 10
    """How many must have been collected; a window without goes on."""


class SheddingState(NamedTuple):
    """How a shedder stands, for gauges and the health report."""

    name: str
    """Its name."""
    mode: str
    """`enforce`, `observe` or `off`."""
    limit: int
    """How many requests may be in flight."""
    in_flight: int
    """How many are."""
    baseline_s: float | None
    """The usual latency, in seconds; None if none was measured."""
    shedding: bool
    """Whether it refused some within the last 10 s, or would have."""


class Shedder:
    """
    Admits requests while there is room, for some classes more than for others.

    The classes `critical`, `default` and `sheddable` may fill 100, 90 and 70 % of the
    limit. Whoever is admitted leaves once, with the latency if it says something of
    the service's load. The lock guards arithmetic only.

    Args:
        name: What is guarded.
        config: Its numbers.
        clock: Monotonic time.
        rng: Draws from [0, 1), for when to come again.
        press: Told of a class that fills its room from 0.8 on, and of how far.
    """

    def __init__(
        self,
        name: str,
        config: SheddingConfig,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = uniform,
        press: Callable[[str, float], None] = _tell_nobody,
    ) -> None:
        self.name = name
        self.config = config
        self._clock = clock
        self._rng = rng
        self._press = press
        # Reentrant, because a finalizer that runs while the lock is held may end a
        # request.
        self._lock = threading.RLock()
        self._outbox = Outbox()
        self._gradient = GradientLimit(config.gradient)
        self._generation = 1
        self._in_flight = 0
        self._counts = dict.fromkeys(CLASSES, 0)
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._story = Story(name)
        self._most = 0
        self._rooms: dict[str, int] = {}
        with self._lock:
            self._make_room()
            self._restart(clock.monotonic())

        fork.reset_in_child(self._reset_in_child)

    @property
    def clock(self) -> Clock:
        """The clock in use."""
        return self._clock

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._limit

    def use(self, config: SheddingConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping what was learnt."""
        with self._lock:
            if clock is not self._clock:
                self._clock = clock
                self._story = Story(self.name)
                self._restart(clock.monotonic())

            self.config = config
            self._gradient.use(config.gradient)
            self._make_room()

    def enter(self, priority: str) -> int:
        """
        Ask for admission.

        Args:
            priority: One of `CLASSES`.

        Returns:
            What to `leave` with; 0: refused.
        """
        with self._lock:
            in_flight = self._in_flight
            room = self._rooms[priority]
            if in_flight < room:
                self._in_flight = in_flight = in_flight + 1
                if in_flight > self._most:  # noqa: PLR1730 - a call costs more
                    self._most = in_flight

                self._counts[priority] += 1
                admission = self._generation
                if in_flight < room * _PRESSES:
                    return admission
            else:
                admission = self._refuse(priority)

        self._press(priority, min(1.0, in_flight / room))
        self._outbox.tell()
        return admission

    def leave(self, admission: int, elapsed_s: float | None) -> None:
        """
        End what was admitted, once.

        Args:
            admission: What `enter` returned.
            elapsed_s: The latency, in seconds; None if it says nothing of the load: a
                stream, or a client that left.
        """
        with self._lock:
            if admission != self._generation:  # of before a fork
                return

            self._in_flight -= 1
            if elapsed_s is None:
                return

            self._samples += 1
            self._sum_s += elapsed_s
            self._squares += elapsed_s * elapsed_s
            now_s = self._clock.monotonic()
            if now_s < self._window_until_s:
                return

            if self._samples >= self.config.min_samples:
                self._gradient.update(self._measured(now_s))
                self._make_room()
                self._restart(now_s)

            event = self._story.ended(now_s, self._limit)
            if event is None:
                return

            self._outbox.add(event)

        self._outbox.tell()

    def pause(self, admission: int) -> None:
        """Count what was admitted out for a while: it waits for its client."""
        with self._lock:
            if admission == self._generation:
                self._in_flight -= 1

    def resume(self, admission: int) -> None:
        """Count it in again, whatever the limit."""
        with self._lock:
            if admission == self._generation:
                self._in_flight += 1
                self._most = max(self._most, self._in_flight)

    def readmit(self, admission: int, priority: str) -> bool:
        """Count it in again if there is room for its class; False: it is refused."""
        with self._lock:
            if admission != self._generation:
                return True

            if self._in_flight < self._rooms[priority]:
                self._in_flight += 1
                self._most = max(self._most, self._in_flight)
                return True

            goes_on = bool(self._refuse(priority))

        self._press(priority, 1.0)
        self._outbox.tell()
        return goes_on

    def retry_after_s(self) -> int:
        """Draw when a refused caller is to come again: in 1, 2 or 3 s."""
        return 1 + min(_RETRY_SPREAD_S, int(self._rng() * (_RETRY_SPREAD_S + 1)))

    def state(self) -> SheddingState:
        """Return how it stands; an end that nobody noticed yet is told."""
        with self._lock:
            now_s = self._clock.monotonic()
            event = self._story.ended(now_s, self._limit)
            if event is not None:
                self._outbox.add(event)

            state = SheddingState(
                self.name,
                self.config.mode,
                self._limit,
                self._in_flight,
                self._gradient.baseline_s,
                self._story.is_on,
            )

        self._outbox.tell()
        return state

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many requests there were by class and outcome."""
        with self._lock:
            admitted = {
                (n, "success"): many for n, many in self._counts.items() if many
            }
            return {**admitted, **self._refusals}

    def _refuse(self, priority: str) -> int:
        """Count a refusal; the lock is held."""
        now_s = self._clock.monotonic()
        mode = self.config.mode
        of = (priority, self._rooms[priority])
        event = self._story.refused(now_s, mode, self._limit, self._in_flight, of)
        if event is not None:
            self._outbox.add(event)

        if mode == "enforce":
            self._refused += 1
            self._refusals[priority, "rejected"] += 1
            return 0

        # Not in the window: a limit that is not in force decides nothing.
        self._refusals[priority, "observed"] += 1
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        return self._generation

    def _measured(self, now_s: float) -> Window:
        samples = self._samples
        mean_s = self._sum_s / samples
        variance = max(0.0, self._squares / samples - mean_s * mean_s)
        return Window(
            samples,
            mean_s,
            math.sqrt(variance / max(1, samples - 1)),
            self._most,
            self._refused,
            max(_LEAST_S, now_s - self._window_since_s),
        )

    def _make_room(self) -> None:
        self._limit = limit = self._gradient.limit
        shares = zip(CLASSES, _PERCENT, strict=True)
        self._rooms = {name: max(1, limit * part // 100) for name, part in shares}

    def _restart(self, now_s: float) -> None:
        self._samples = 0
        self._sum_s = 0.0
        self._squares = 0.0
        self._refused = 0
        self._most = self._in_flight
        self._window_since_s = now_s
        self._window_until_s = now_s + self.config.window_s

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outbox.reset()
        self._generation += 1
        self._in_flight = 0  # whoever serves them is a thread of the parent
        self._counts = dict.fromkeys(CLASSES, 0)
        self._refusals.clear()
        self._story = Story(self.name)
        self._restart(self._clock.monotonic())
