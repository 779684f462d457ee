"""The outbound rate limit's state: whose turn it is, and when."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import publish
from svcready.errors import RateLimited
from svcready.resilience._admitting._gcra import gcra
from svcready.resilience._admitting._whose import running_loop
from svcready.resilience._events import Waited
from svcready.resilience._tally import can_count_unlocked
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.resilience._admitting._config_gates import RateConfig

__all__ = ["Pacer"]

_ROUNDING = 1e-9  # as `gcra` has it
_LONG_AGO_S = -1e18  # the burst is whole


class _Turn:
    """A turn that somebody waits for."""

    __slots__ = ("before_s", "tat_s", "wait_s")

    def __init__(self, before_s: float, tat_s: float, wait_s: float) -> None:
        self.before_s = before_s
        self.tat_s = tat_s
        self.wait_s = wait_s


class Pacer:
    """
    One rate limit, shared by every thread, task and event loop of the process.

    While there is burst left a call adds its interval to the theoretical arrival time
    (`gcra`) and goes; as with `Tally` that takes no lock, because no thread gets a
    turn between reading and writing it. A call that must wait does the same, which
    makes the turn its own, and waits for it.

    Args:
        name: The rate limit's name.
        config: Its numbers.
        clock: Monotonic time, and who waits.
        unlocked: Calls may go without the lock; None: as the build allows.
    """

    def __init__(
        self,
        name: str,
        config: RateConfig,
        *,
        clock: Clock = SYSTEM_CLOCK,
        unlocked: bool | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self._unlocked = can_count_unlocked() if unlocked is None else unlocked
        self._lock = threading.RLock()
        self._totals: Counter[str] = Counter()
        self._admitted = 0
        self._waiting = 0
        self._tat_s = _LONG_AGO_S
        self._monotonic = clock.monotonic
        self._interval_s = 1.0 / config.rate.per_s
        self._set_quick()
        fork.reset_in_child(self._reset_in_child)

    def peek(self) -> None:
        """Refuse nothing: when the attempt gets here it may be its turn."""

    def enter(self) -> None:
        """
        Take a turn, after a wait if there may be one.

        On the thread of a running event loop nobody waits: it would stop the loop.

        Raises:
            RateLimited: It is too early; its `retry_after` says by how much.
        """
        now_s = self._monotonic()
        interval_s = self._interval_s
        tat_s = self._tat_s
        next_s = (tat_s if tat_s > now_s else now_s) + interval_s  # noqa: FURB136 - no call
        if next_s - now_s <= self._within_s:
            self._tat_s = next_s
            self._admitted += 1
            return

        turn = self._ask(may_wait=running_loop() is None)
        if turn is None:
            return

        try:
            self.clock.sleep(turn.wait_s)
        except BaseException:
            self._give_up(turn)
            raise

        self._waited(turn)

    async def enter_async(self) -> None:
        """Take a turn as `enter` does, waiting as a task."""
        now_s = self._monotonic()
        interval_s = self._interval_s
        tat_s = self._tat_s
        next_s = (tat_s if tat_s > now_s else now_s) + interval_s  # noqa: FURB136 - no call
        if next_s - now_s <= self._within_s:
            self._tat_s = next_s
            self._admitted += 1
            return

        turn = self._ask(may_wait=True)
        if turn is None:
            return

        try:
            await self.clock.sleep_async(turn.wait_s)
        except BaseException:
            self._give_up(turn)
            raise

        self._waited(turn)

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        """Take note of nothing: a turn is used up when it is taken."""

    def renew(self, token: object) -> None:
        """Take note of nothing: a stream is one call."""

    def use(self, config: RateConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force; turns that are taken count."""
        with self._lock:
            before_s, now_s = self.clock.monotonic(), clock.monotonic()
            interval_s = 1.0 / config.rate.per_s
            scale = interval_s / self._interval_s
            tat_s = self._tat_s  # from here to its writing no thread gets a turn
            taken_s = tat_s - before_s if tat_s > before_s else 0.0
            self._tat_s = now_s + taken_s * scale
            self.config = config
            self.clock = clock
            self._monotonic = clock.monotonic
            self._interval_s = interval_s
            self._set_quick()

    def reset(self) -> None:
        """Forget which turns are taken."""
        with self._lock:
            self._tat_s = _LONG_AGO_S

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return self._waiting

    def tokens(self) -> float:
        """Return how many calls would be let through now, at once."""
        taken = max(0.0, self._tat_s - self._monotonic()) / self._interval_s
        return max(0.0, self.config.rate.burst - taken)

    def counts(self) -> dict[str, int]:
        """Return how many calls were admitted and refused since the process began."""
        with self._lock:
            return {"admitted": self._admitted, **self._totals}

    def _ask(self, *, may_wait: bool) -> _Turn | None:
        """Return the turn to wait for; None: it is now."""
        with self._lock:
            config = self.config
            if config.mode == "off":
                return None

            while True:
                turn = self._look(config, may_wait=may_wait)
                if turn is None:
                    return None

                # Others take turns without the lock, so it may be gone by now.
                if self._tat_s == turn.before_s:
                    self._tat_s = turn.tat_s
                    break

            if not turn.wait_s:
                self._admitted += 1
                return None

            self._waiting += 1
            return turn

    def _look(self, config: RateConfig, *, may_wait: bool) -> _Turn | None:
        """Return the turn that comes next; None: without one, observed only."""
        before_s = self._tat_s
        now_s = self._monotonic()
        taken = gcra(config.rate, before_s, now_s)
        if taken.allowed:
            return _Turn(before_s, taken.tat_s, 0.0)

        if config.mode == "observe":
            self._totals["observed"] += 1
            return None

        wait_s = taken.retry_after_s
        longest_s = min(config.max_wait_s, _deadline.until_s() - now_s)
        if not may_wait or wait_s > longest_s:
            self._totals["rejected"] += 1
            raise RateLimited(self.name, "rate", wait_s)

        return _Turn(before_s, before_s + self._interval_s, wait_s)

    def _waited(self, turn: _Turn) -> None:
        with self._lock:
            self._waiting -= 1
            self._totals["waited"] += 1

        publish(Waited("rate_limit", self.name, turn.wait_s))

    def _give_up(self, turn: _Turn) -> None:
        """Leave a turn to others, which only the last one in line can."""
        with self._lock:
            self._waiting -= 1
            self._totals["cancelled"] += 1
            if self._tat_s == turn.tat_s:
                self._tat_s = turn.before_s

    def _set_quick(self) -> None:
        """Say how far ahead calls may take turns without asking."""
        config = self.config
        burst_s = config.rate.burst * self._interval_s
        quick = self._unlocked and config.mode != "off"
        self._within_s = burst_s * (1.0 + _ROUNDING) if quick else -1.0

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._totals = Counter()
        self._admitted = 0
        self._waiting = 0
        self._tat_s = -1e18
