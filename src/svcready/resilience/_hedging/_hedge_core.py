"""The hedge's decisions: when a second attempt starts, and what pays for it."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready.errors import DeclarationError, Rejected
from svcready.resilience._hedging import _hedge_calls
from svcready.resilience._hedging._latencies import Latencies
from svcready.resilience._overrides import parsed
from svcready.resilience._parts import core_of
from svcready.resilience._retrying._budget import RATIO, RESERVE_PER_S, Budget
from svcready.resilience._retrying._marks import give_up, note_on
from svcready.resilience._retrying._nested import given_up
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._threads import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock
    from svcready.resilience._arguments import Matcher
    from svcready.resilience._layering._kinds import Kind
    from svcready.resilience._retrying._marks import Running
    from svcready.resilience._retrying._retrier import Retrier

__all__ = ["HedgeConfig", "HedgeCore", "override_hedge"]


class HedgeConfig(NamedTuple):
    """The numbers of a hedge."""

    after_s: float | None = None
    """An attempt starts when the one before has taken this long; None: `percentile`."""
    percentile: float | None = None
    """The share of recent calls that are faster than what is hedged."""
    max_hedges: int = 1
    """How many attempts there may be beside the first."""
    budget_ratio: float | None = RATIO
    """How much of a hedge each call pays for; None: all are paid for."""
    budget_reserve_per_s: float = RESERVE_PER_S
    """How many hedges a second are paid for anyway."""
    threads: int = 0
    """How many threads plain functions may have; 0: they aren't hedged."""
    mode: str = "enforce"
    """`enforce`, `observe` (tells which calls it would hedge) or `off`."""


_FIELDS = {
    "mode": "mode",
    "hedge_mode": "mode",
    "hedge_after_s": "after_s",
    "hedge_percentile": "percentile",
    "hedge_max": "max_hedges",
    "hedge_threads": "threads",
    "budget_ratio": "budget_ratio",
    "budget_reserve_per_s": "budget_reserve_per_s",
}


def override_hedge(
    config: HedgeConfig, values: Mapping[str, object]
) -> tuple[HedgeConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, and what is wrong with them."""
    changed, problems = parsed(_FIELDS, values)
    if not config.threads:  # only code can say that another thread will do
        changed.pop("threads", None)

    if "after_s" in changed:
        if changed.get("percentile"):
            problem = "hedge_after_s and hedge_percentile: hedge_after_s is in force"
            problems = (*problems, problem)

        changed["percentile"] = None
    elif "percentile" in changed:
        changed["after_s"] = None

    return config._replace(**changed), problems  # type: ignore[arg-type]


class HedgeCore:
    """
    One hedge, shared by every call that is made under its name.

    Args:
        name: The policy's name.
        config: Its numbers.
        on: Which failures start the next attempt at once.
        clock: Monotonic time.
    """

    def __init__(
        self,
        name: str,
        config: HedgeConfig,
        on: Matcher,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        threads = config.threads
        self.pool = Pool(name, threads, "hedge") if threads else None
        """Where plain functions run; None: they aren't hedged."""
        self._on = on
        self._budget = Budget(clock)
        self._latencies: Latencies | None = None
        self._lock = threading.RLock()  # finalizers come back
        self._outcomes: Counter[str] = Counter()
        self._complained = False
        self.hedges = 0
        """How many attempts beside first ones were paid for."""
        self.use(config, clock)
        fork.reset_in_child(self._reset_in_child)

    def around(self, kind: Kind, call: Callable[..., object]) -> Callable[..., object]:
        """Return *call* with this hedge around it, of the same kind."""
        return _hedge_calls.around(self, kind, call)

    def use(self, config: HedgeConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping budget and counts."""
        self.config = config
        if clock is not self.clock:
            self.clock = clock
            self._budget.use(clock)
            if self._latencies is not None:
                self._latencies.use(clock)

        if config.percentile is not None and self._latencies is None:
            self._latencies = Latencies(clock)

        self._budget.tune(config.budget_ratio, config.budget_reserve_per_s)
        if self.pool is not None:
            self.pool.resize(config.threads)

    def reset(self) -> None:
        """Have its own budget begin anew, and forget what calls have taken."""
        self._budget.clear()
        if self._latencies is not None:
            self._latencies.use(self.clock)

    @property
    def budget(self) -> Budget:
        """What pays: the budget of the retry of this name, or its own."""
        retrier: Retrier | None = core_of("retry", self.name)
        if retrier is None or retrier.budget.is_unlimited or self._budget.is_unlimited:
            return self._budget

        return retrier.budget

    def after_s(self) -> float:
        """Return how long an attempt may take before the next starts; inf: as long."""
        config = self.config
        if config.percentile is None or self._latencies is None:
            return math.inf if config.after_s is None else config.after_s

        return self._latencies.percentile_s(config.percentile)

    def begin(self) -> None:
        """Have a call pay into the budget."""
        self.budget.deposit(self.clock.monotonic())

    def took(self, duration_s: float) -> None:
        """Take how long a first attempt took, or took until another was faster."""
        if self._latencies is not None:
            self._latencies.add(duration_s)

    def refusal(self) -> str | None:
        """Return why there is no further attempt now; None: it is paid for."""
        now_s = self.clock.monotonic()
        if now_s >= _deadline.until_s():
            return "deadline"

        if not self.budget.withdraw(now_s):
            return "budget"

        with self._lock:
            self.hedges += 1

        return None

    def names(self, error: Exception) -> bool:
        """Return whether *error* starts the next attempt at once."""
        return self._on(error)

    def follows(self, error: Exception, running: Running) -> bool:
        """Return the same, save what svcready refused or has tried enough."""
        refused = isinstance(error, Rejected) or given_up(error, running)
        return not refused and self.names(error)

    def failed(
        self, error: Exception, running: Running, attempts: int, refused: str | None
    ) -> None:
        """
        Count a call of which all attempts failed.

        Args:
            error: What the first of them raised.
            running: The call.
            attempts: How many had been started.
            refused: Why there were no more of them, if there were to be.
        """
        self.count("failed")
        follows = self.follows(error, running)
        if attempts == 1 and not (refused and follows):
            return

        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        why = refused or "attempts"
        note = f"svcready: hedge {self.name!r} gave up after {times}: {why}"
        if follows:
            give_up(error, self.name, note)
        else:
            note_on(error, note)

    def answered(self, attempt: int, attempts: int, refused: str | None) -> None:
        """
        Count a call that was answered.

        Args:
            attempt: By which attempt, from 0.
            attempts: How many had been started.
            refused: Why there were no more of them, if there were to be.
        """
        self.budget.answered(self.clock.monotonic())
        if attempts == 1:
            self.count(refused or "success")
        else:
            self.count("success_hedge" if attempt else "success_first")

    def complain(self, call: Callable[..., object]) -> None:
        """Say once that a plain function is not hedged, which nobody could know."""
        if not self._complained:
            self._complained = True
            what = getattr(call, "__qualname__", type(call).__name__)
            text = (
                f"hedge {self.name!r}: {what} is a plain function and returns nothing "
                "to await, so it is not hedged; threads=True does"
            )
            report_fault("resilience.hedge", DeclarationError(text))

    def count(self, outcome: str) -> None:
        """Count a call by what became of it."""
        with self._lock:
            self._outcomes[outcome] += 1

    def counts(self) -> dict[str, int]:
        """Return how many calls have had each outcome since the process started."""
        with self._lock:
            return {"success": 0, **self._outcomes}

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outcomes.clear()  # the parent tells of them
        self.hedges = 0
