"""The circuit breaker's state: who may call, and what outcomes change."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.errors import CircuitOpen
from svcready.resilience._breaking._judge import EVERY_ERROR
from svcready.resilience._breaking._ledger import Ledger
from svcready.resilience._breaking._opening import Opening
from svcready.resilience._breaking._states import (
    CLOSED,
    DISABLED,
    FORCED_CLOSED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
)
from svcready.resilience._events import BreakerMoved, BreakerStarved
from svcready.resilience._outbox import Outbox
from svcready.resilience._retrying._backoff import uniform
from svcready.resilience._tally import Tally, can_count_unlocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.resilience._config import BreakerConfig

__all__ = ["Breaker"]


class Breaker:
    """
    One circuit breaker, shared by every thread, task and event loop of the process.

    A call takes an admission (`admission`, or where that is None `admit`), which is
    a tally of the generation it was admitted under, and settles it once. An outcome
    whose tally is neither the live generation's nor the running probe's is stale. The
    lock guards arithmetic only; moves are told after it is released.

    Args:
        name: The breaker's name.
        config: Its numbers.
        judge: Says of an error which outcome it is.
        clock: Monotonic time.
        rng: Draws from [0, 1), for the jitter of the time that it stays open.
        unlocked: Successes may count without the lock; None: as the build allows.
    """

    def __init__(
        self,
        name: str,
        config: BreakerConfig,
        judge: Callable[[Exception], str] = EVERY_ERROR,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = uniform,
        unlocked: bool | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.judge = judge
        self.reason: str | None = None
        """Why it is in its state: the last move's reason."""
        self.last_failure: str | None = None
        """The class name of the last failure that counted."""
        self.slow_after_s = math.inf
        self._clock = clock
        self._rng = rng
        # Reentrant, because a finalizer or signal handler that runs while the lock is
        # held may settle a call of its own.
        self._lock = threading.RLock()
        self._outbox = Outbox()
        self._ledger = Ledger(
            config,
            clock,
            unlocked=can_count_unlocked() if unlocked is None else unlocked,
        )
        self._state = CLOSED
        self._probe: Tally | None = None
        self._lease_until_s = math.inf
        self.least_lease_s: Callable[[], float] = float  # 0.0: no time-out is known
        self._passed = 0
        self._opening = Opening()
        self._pass = Tally(clock.monotonic, math.inf)  # what nobody settles
        self.admission: Tally | None = None
        """What a call may settle with without asking; None: call `admit`."""
        self.timed: Tally | None = None
        """The same for callers that measure how long their call takes."""
        with self._lock:
            self._set_gates()

        fork.reset_in_child(self._reset_in_child)

    @property
    def state(self) -> str:
        """The state now; an open breaker whose time is over counts as half-open."""
        due = self._state == OPEN and self._clock.monotonic() >= self._opening.until_s
        return HALF_OPEN if due else self._state

    @property
    def clock(self) -> Clock:
        """The clock in use."""
        return self._clock

    def peek(self) -> None:
        """Refuse what an open breaker would refuse now, and admit nothing."""
        if self.timed is not None or self.config.mode != "enforce":
            return

        with self._lock:
            left_s = self._opening.until_s - self._clock.monotonic()
            state, waits = self._state, self._state == OPEN and left_s > 0.0
            if not waits and state != FORCED_OPEN:
                return  # to be seen when it is admitted

            self._ledger.count("rejected")

        raise CircuitOpen(self.name, state, left_s if waits else None)

    def admit(self) -> Tally:
        """
        Return what the outcome of the call that follows is settled with.

        Raises:
            CircuitOpen: The call must not be made.
        """
        with self._lock:
            now_s = self._clock.monotonic()
            tally = self._admit(now_s)
            observed = self.config.mode == "observe"
            state = self._state
            wait_s = self._opening.until_s - now_s if state == OPEN else None
            if tally is None:
                self._ledger.count("observed" if observed else "rejected")

        self._outbox.tell()
        if tally is not None:
            return tally

        if observed:
            return self._pass

        raise CircuitOpen(self.name, state, wait_s)

    def settle(self, tally: Tally, outcome: str, elapsed_s: float = 0.0) -> None:
        """
        Take the outcome of an admitted call.

        Args:
            tally: What the call was admitted with.
            outcome: `success`, `failure`, `ignored`, `cancelled` or `inconclusive`.
            elapsed_s: How long the call took, if that was measured.
        """
        if tally is self._pass:
            return

        with self._lock:
            now_s = self._clock.monotonic()
            self._expire(now_s)
            self._ledger.advance(now_s)
            slow = elapsed_s >= self.slow_after_s
            if self.config.mode == "off":
                pass
            elif tally is self._probe:
                self._settle_probe(outcome, now_s, slow=slow)
            elif tally is self._ledger.live and self._state in {CLOSED, FORCED_CLOSED}:
                self._settle_closed(outcome, now_s, slow=slow)
            else:
                self._ledger.count("stale")

            self._set_gates()

        self._outbox.tell()

    def renew(self, tally: Tally) -> None:
        """Extend the lease of a probe that shows signs of life: a stream's item."""
        if tally is self._probe:
            with self._lock:
                now_s = self._clock.monotonic()
                if tally is self._probe and now_s < self._lease_until_s:
                    self._lease_until_s = now_s + self._lease_s()

    def force(self, state: str) -> None:
        """Hold *state*, one of the forced ones, until `reset`."""
        with self._lock:
            if self._state != state:
                self._move(state, "manual", self._clock.monotonic())

            self._set_gates()

        self._outbox.tell()

    def reset(self) -> None:
        """Close with an empty window, and forget how often it opened."""
        with self._lock:
            now_s = self._clock.monotonic()
            if self._state != CLOSED:
                self._move(CLOSED, "manual", now_s)
            else:
                self._restart(now_s)

            self._opening.forget()
            self._set_gates()

        self._outbox.tell()

    def hear(self, open_s: float, *, enough: bool) -> None:
        """
        Take note that other processes have opened theirs, for *open_s* more seconds.

        While this one has seen too few calls to judge its rates by, it judges them by
        those few; *enough* others open it though it has seen none.
        """
        with self._lock:
            now_s = self._clock.monotonic()
            self._ledger.advance(now_s)
            if self._state == CLOSED and self.config.mode != "off" and open_s > 0.0:
                self._ledger.hear(now_s + open_s)
                if self._ledger.persuaded(now_s, enough=enough):
                    self._open("peers", now_s)

            self._set_gates()

        self._outbox.tell()

    def use(self, config: BreakerConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping state and counts."""
        with self._lock:
            shift_s = clock.monotonic() - self._clock.monotonic()
            self._ledger.advance(self._clock.monotonic())
            self._ledger.use(config, clock)
            self._lease_until_s += shift_s
            self._opening.shift(shift_s)
            self._clock = clock
            self.config = config
            self._pass.monotonic = clock.monotonic
            if self._probe is not None:
                self._probe.monotonic = clock.monotonic

            self._set_gates()

    def counts(self) -> dict[str, int]:
        """Return how many calls have had each outcome since the process started."""
        with self._lock:
            return self._ledger.totals()

    def _admit(self, now_s: float) -> Tally | None:
        self._expire(now_s)
        if self.config.mode == "off" or self._state == DISABLED:
            return self._pass

        if self._state in {CLOSED, FORCED_CLOSED}:
            return self._ledger.live

        if self._state == OPEN and now_s >= self._opening.until_s:
            self._move(HALF_OPEN, "elapsed", now_s)

        if self._state != HALF_OPEN or self._probe is not None:
            return None

        self._probe = Tally(self._clock.monotonic)
        self._lease_until_s = now_s + self._lease_s()
        return self._probe

    def _lease_s(self) -> float:
        return max(self.config.probe_lease_s, self.least_lease_s())

    def _expire(self, now_s: float) -> None:
        if self._probe is not None and now_s >= self._lease_until_s:
            self._open("probe_lost", now_s)

    def _settle_probe(self, outcome: str, now_s: float, *, slow: bool) -> None:
        self._probe = None
        if outcome == "success" and slow:
            outcome = "slow"

        self._ledger.count(outcome)
        if outcome in {"failure", "slow"}:
            self._open("probe_failed", now_s)
        elif outcome == "success":
            self._passed += 1
            if self._passed >= self.config.probes:
                self._move(CLOSED, "probes_passed", now_s)

    def _settle_closed(self, outcome: str, now_s: float, *, slow: bool) -> None:
        if outcome not in {"success", "failure"}:
            self._ledger.count(outcome)
            return

        self._ledger.record(outcome, slow=slow)
        if self._ledger.starved(now_s):
            config = self.config
            self._outbox.add(
                BreakerStarved(self.name, config.min_calls, config.window_s)
            )

        reason = None if self._state == FORCED_CLOSED else self._ledger.tripped(now_s)
        if reason is not None:
            self._open(reason, now_s)

    def _open(self, reason: str, now_s: float) -> None:
        heard_s = self._ledger.heard_s(now_s) if reason == "peers" else 0.0
        open_s = self._opening.begin(self.config, now_s, self._rng(), heard_s)
        self._move(OPEN, reason, now_s, open_s)

    def _move(self, state: str, reason: str, now_s: float, open_s: float = 0.0) -> None:
        self._restart(now_s)
        before, mode = self._state, self.config.mode
        self._outbox.add(BreakerMoved(self.name, before, state, reason, open_s, mode))
        self._state = state
        self.reason = reason
        if state == CLOSED:
            self._opening.closed_since_s = now_s

        self._set_gates()

    def _restart(self, now_s: float) -> None:
        self._ledger.restart(now_s)
        self._probe = None
        self._passed = 0

    def _set_gates(self) -> None:
        """Say what calls are admitted with, where no lock is needed to know."""
        slow_after_s = self.config.slow_after_s
        self.slow_after_s = math.inf if slow_after_s is None else slow_after_s
        gate: Tally | None = None
        counting = False
        if self.config.mode == "off" or self._state == DISABLED:
            gate = self._pass
        elif self._state in {CLOSED, FORCED_CLOSED}:
            gate = self._ledger.live
            counting = True

        self._ledger.set_edge(counting=counting)
        self.timed = gate
        untimed = gate is self._pass or slow_after_s is None
        self.admission = gate if untimed else None

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outbox.reset()
        self._probe = None  # whoever runs it is a thread of the parent
        self._ledger.clear_totals()
