"""What a closed breaker knows of its calls, and when that opens it."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from svcready.resilience._breaking._window import Window
from svcready.resilience._tally import NEVER, Tally

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.resilience._config import BreakerConfig

__all__ = ["Ledger"]

_STARVED_AFTER_WINDOWS = 20


class Ledger:
    """
    The outcomes of one generation of calls, and the totals of all.

    Guarded by its owner's lock.

    Args:
        config: The breaker's numbers.
        clock: Monotonic time.
        unlocked: Successes may count on the live tally without the owner's lock.
    """

    __slots__ = (
        "_clock",
        "_config",
        "_folded",
        "_heard_until_s",
        "_in_a_row",
        "_starving_since_s",
        "_totals",
        "_unlocked",
        "_window",
        "live",
    )

    def __init__(self, config: BreakerConfig, clock: Clock, *, unlocked: bool) -> None:
        self._config = config
        self._clock = clock
        self._unlocked = unlocked
        self._totals: Counter[str] = Counter()
        self._window = Window(config.window_s, clock.monotonic())
        self._in_a_row = 0
        self._folded = 0
        self._heard_until_s = -math.inf
        self._starving_since_s = math.inf
        self.live = Tally(clock.monotonic)
        """What the calls of this generation are admitted with."""

    def restart(self, now_s: float) -> None:
        """Begin a generation with an empty window; what is under way is stale."""
        self.live.edge = NEVER  # from here on nobody counts on it
        self._totals["success"] += self.live.ok - self._folded
        self.live = Tally(self._clock.monotonic)
        self._folded = 0
        self._window = Window(self._config.window_s, now_s)
        self._in_a_row = 0
        self._heard_until_s = -math.inf
        self._starving_since_s = math.inf

    def use(self, config: BreakerConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force; what was counted stays."""
        if config.window_s != self._config.window_s or clock is not self._clock:
            ahead_s = clock.monotonic() - self._clock.monotonic()
            self._heard_until_s += ahead_s
            self._window = self._window.moved(config.window_s, clock.monotonic())
            self._starving_since_s = math.inf

        self._config = config
        self._clock = clock
        self.live.monotonic = clock.monotonic

    def advance(self, now_s: float) -> None:
        """
        Fold what was counted without the lock into its bucket, then move on.

        Until `set_edge` nobody counts without it, so that what is decided next knows
        of every success that was counted.
        """
        self.live.edge = NEVER
        ok = self.live.ok
        fresh = ok - self._folded
        self._folded = ok
        self._totals["success"] += fresh
        self._window.add(fresh)
        self._window.advance(now_s)

    def record(self, outcome: str, *, slow: bool = False) -> None:
        """
        Count an outcome that the window takes.

        Args:
            outcome: `success` or `failure`.
            slow: It took as long as makes a call slow.
        """
        failed = outcome == "failure"
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._window.add(1, int(failed), int(slow))
        self.count("slow" if slow and not failed else outcome)

    def count(self, outcome: str) -> None:
        """Add to the totals alone."""
        self._totals[outcome] += 1

    def hear(self, until_s: float) -> None:
        """Take note that other processes have opened theirs, until then."""
        self._heard_until_s = max(self._heard_until_s, until_s)

    def heard_s(self, now_s: float) -> float:
        """Return for how many more seconds others have theirs open."""
        return max(0.0, self._heard_until_s - now_s)

    def persuaded(self, now_s: float, *, enough: bool) -> bool:
        """Return whether the breaker must open by what others say of theirs."""
        calls = self._window.calls
        if calls >= self._config.min_calls or not self.heard_s(now_s):
            return False

        return enough or (calls > 0 and self._rate_reached(calls) is not None)

    def tripped(self, now_s: float) -> str | None:
        """Return why the breaker must open, or None."""
        config, window = self._config, self._window
        limit = config.consecutive_failures
        if limit is not None and self._in_a_row >= limit:
            return "consecutive"

        if window.calls < config.min_calls:
            return "peers" if self.persuaded(now_s, enough=False) else None

        return self._rate_reached(window.calls)

    def starved(self, now_s: float) -> bool:
        """Return, once, True if the window never fills for its rates to be judged."""
        config, window = self._config, self._window
        if config.consecutive_failures is not None or not window.calls:
            return False

        if window.calls >= config.min_calls:
            self._starving_since_s = -math.inf
        elif self._starving_since_s == math.inf:
            self._starving_since_s = now_s

        patience_s = _STARVED_AFTER_WINDOWS * config.window_s
        if now_s - self._starving_since_s < patience_s or math.isinf(
            self._starving_since_s
        ):
            return False

        self._starving_since_s = -math.inf
        return True

    def set_edge(self, *, counting: bool) -> None:
        """
        Say until when a success may count on the live tally without asking.

        Args:
            counting: The breaker is in a state whose successes the window takes.
        """
        calm = counting and self._unlocked and self._is_calm()
        self.live.edge = self._window.edge if calm else NEVER

    def totals(self) -> dict[str, int]:
        """Return how many calls had each outcome."""
        fresh = self.live.ok - self._folded
        return {**self._totals, "success": self._totals["success"] + fresh}

    def clear_totals(self) -> None:
        """Begin the totals anew, for a forked child: the parent tells of these."""
        self._totals.clear()
        self._totals["success"] = self._folded - self.live.ok

    def _is_calm(self) -> bool:
        # Below the minimum a success can open the breaker only by being the call that
        # reaches it; above, it only lowers the rates.
        config, window = self._config, self._window
        if config.consecutive_failures is not None and self._in_a_row:
            return False

        return self._rate_reached(max(window.calls, config.min_calls)) is None

    def _rate_reached(self, calls: int) -> str | None:
        # A quotient, not a product: 7 of 100 is 0.07, but 0.07 * 100 is above 7.
        config, window = self._config, self._window
        if window.failures / calls >= config.failure_rate:
            return "failure_rate"

        if window.slow and window.slow / calls >= config.slow_rate:
            return "slow_rate"

        return None
