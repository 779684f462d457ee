"""Client-side throttling's state: what was asked, what was accepted, who is held."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, cast

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import Rejected, Throttled
from svcready.resilience._breaking._window import Window
from svcready.resilience._layering._gate import Unjudged
from svcready.resilience._retrying._backoff import uniform
from svcready.resilience._tally import NEVER, Tally, can_count_unlocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.resilience._admitting._config_gates import ThrottleConfig

__all__ = ["Throttler"]


class Throttler:
    """
    One throttle, shared by every thread, task and event loop of the process.

    The window holds requests, those held back included, and how many of them the
    dependency or the throttle refused. While it accepts its share, nothing is held
    back and successes count without the lock, as `Tally` says: they only make that
    more so until the window moves.

    Args:
        name: The throttle's name.
        config: Its numbers.
        overloads: Which errors say that the dependency is overloaded.
        clock: Monotonic time.
        rng: Draws from [0, 1): who is held back.
        unlocked: Successes may count without the lock; None: as the build allows.
    """

    def __init__(
        self,
        name: str,
        config: ThrottleConfig,
        overloads: Callable[[Exception], bool],
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = uniform,
        unlocked: bool | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self.overloads = overloads
        self._rng = rng
        self._unlocked = can_count_unlocked() if unlocked is None else unlocked
        # Reentrant, as the breaker's: finalizers come back.
        self._lock = threading.RLock()
        self._totals: Counter[str] = Counter()
        self._window = Window(config.window_s, clock.monotonic())
        self._live = Tally(clock.monotonic)
        self._folded = 0
        self._pass = Tally(clock.monotonic, math.inf)  # what nobody counts
        self.admission: Tally | None = None
        """What a call may go with without asking; None: ask."""
        with self._lock:
            self._set_admission()

        fork.reset_in_child(self._reset_in_child)

    @property
    def rejection(self) -> float:
        """The probability that a call would be held back now."""
        with self._lock:
            self._advance()
            return self._rejection()

    def peek(self) -> None:
        """Refuse nothing: it is the outermost gate."""

    def enter(self) -> Tally:
        """
        Admit a call, or hold it back.

        Raises:
            Throttled: It is held back.
        """
        return self.admission or self._ask()

    async def enter_async(self) -> Tally:
        """Do as `enter`; nobody waits here."""
        return self.admission or self._ask()

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        """Count what the dependency said."""
        del elapsed_s
        tally = cast("Tally", token)
        if error is None:
            if tally.monotonic() < tally.edge:
                tally.ok += 1
            else:
                self._settle(tally, "success")
        elif not isinstance(error, Exception) or isinstance(error, Rejected | Unjudged):
            self._settle(tally, "unsent")
        else:
            self._settle(tally, "overload" if self.overloads(error) else "failure")

    def renew(self, token: object) -> None:
        """Take note of nothing: a stream is one call."""

    def use(self, config: ThrottleConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force; what was counted stays."""
        with self._lock:
            self._advance()
            if config.window_s != self.config.window_s or clock is not self.clock:
                self._window = self._window.moved(config.window_s, clock.monotonic())

            self.config = config
            self.clock = clock
            self._live.monotonic = self._pass.monotonic = clock.monotonic
            self._set_admission()

    def reset(self) -> None:
        """Forget what the dependency said."""
        with self._lock:
            self._advance()
            self._window = Window(self.config.window_s, self.clock.monotonic())
            self._set_admission()

    def counts(self) -> dict[str, int]:
        """Return how many calls had each outcome since the process started."""
        with self._lock:
            fresh = self._live.ok - self._folded
            return {**self._totals, "success": self._totals["success"] + fresh}

    def _ask(self) -> Tally:
        with self._lock:
            if self.config.mode == "off":
                return self._pass

            self._advance()
            rejection = self._rejection()
            held = rejection > 0.0 and self._rng() < rejection
            if held and self.config.mode == "observe":
                self._totals["observed"] += 1
            elif held:
                self._totals["rejected"] += 1
                self._window.add(1, 1)

            self._set_admission()
            if not held or self.config.mode == "observe":
                return self._live

        raise Throttled(self.name, "throttled")

    def _settle(self, tally: Tally, outcome: str) -> None:
        if tally is self._pass:
            return

        with self._lock:
            self._advance()
            self._totals[outcome] += 1
            if outcome != "unsent":
                self._window.add(1, int(outcome == "overload"))

            self._set_admission()

    def _advance(self) -> None:
        """Fold what was counted without the lock into its bucket, then move on."""
        now_s = self.clock.monotonic()
        ok = self._live.ok
        fresh = ok - self._folded
        self._folded = ok
        self._totals["success"] += fresh
        self._window.add(fresh)
        self._window.advance(now_s)

    def _rejection(self) -> float:
        """Return the probability of Google's SRE book ("Handling Overload")."""
        requests = self._window.calls
        accepts = requests - self._window.failures
        wanted = (requests - self.config.k * accepts) / (requests + 1)
        return min(self.config.max_rejection, max(0.0, wanted))

    def _set_admission(self) -> None:
        """Say what calls go with, where no lock is needed to know."""
        if self.config.mode == "off":
            self.admission = self._pass
            return

        # With failures among them it is only a matter of time: successes leave first.
        calm = not self._window.failures
        self.admission = self._live if calm else None
        self._live.edge = self._window.edge if calm and self._unlocked else NEVER

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._totals.clear()
        self._totals["success"] = self._folded - self._live.ok
