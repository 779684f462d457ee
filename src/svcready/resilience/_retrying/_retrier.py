"""The retry's decisions: whether another attempt follows, and after which wait."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import publish
from svcready._core.guard import report_foreign
from svcready.errors import DeadlineExceeded, RateLimited, Rejected
from svcready.resilience._events import RetryExhausted, RetryRecovered, RetryScheduled
from svcready.resilience._lineage import attributes_of
from svcready.resilience._retrying._backoff import (
    MAX_HINT_S,
    full_jitter_s,
    hinted_s,
    uniform,
)
from svcready.resilience._retrying._budget import Budget
from svcready.resilience._retrying._marks import (
    MARK,
    ONCE,
    Running,
    give_up,
    mark_of,
    marked,
    note_on,
)
from svcready.resilience._retrying._nested import given_up, met
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._cut_short import is_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.resilience._arguments import Matcher
    from svcready.resilience._config import RetryConfig
    from svcready.resilience._tally import Tally

__all__ = ["Course", "Retrier"]

_LONGEST_S = 1e9
_PLAIN = {"attempts", "not_retryable"}  # what needs no word if nothing was retried


class Retrier:
    """
    One retry policy, shared by every call that is made under its name.

    Args:
        name: The policy's name.
        config: Its numbers.
        on: Which errors are retried.
        retry_after: Reads from an error how long the server says to wait, in seconds.
        nested: Retry also what an inner retry gave up on.
        clock: Monotonic time, and who waits.
        rng: Draws from [0, 1), for the jitter.
        unlocked: Successes may count without a lock; None: as the build allows.
    """

    def __init__(
        self,
        name: str,
        config: RetryConfig,
        on: Matcher,
        *,
        retry_after: Callable[[Exception], float | None] | None = None,
        nested: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = uniform,
        unlocked: bool | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self.budget = Budget(clock, unlocked=unlocked)
        self.meter: Tally | None = None
        """
        What a first attempt's success counts on.

        None: the call has a deadline, or is to be known to what it calls elsewhere.
        """
        self._is_careful = False
        self._on = on
        self._retry_after = retry_after
        self.nested = nested
        """Whether what an inner retry gave up on is retried too."""
        self._rng = rng
        self._lock = threading.RLock()
        self._outcomes: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._before_fork = 0
        self.use(config, clock)
        fork.reset_in_child(self._reset_in_child)

    def use(self, config: RetryConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping budget and counts."""
        self.config = config
        if clock is not self.clock:
            self.clock = clock
            self.budget.use(clock)

        self.budget.tune(config.budget_ratio, config.budget_reserve_per_s)
        is_short = self.bound_s() == math.inf and not self._is_careful
        self.meter = self.budget.meter if is_short else None

    def bound_s(self) -> float:
        """Return how long a call may take in all, in seconds; inf: no bound."""
        config = self.config
        bounded = config.deadline_s is not None and config.mode == "enforce"
        return config.deadline_s if bounded and config.deadline_s else math.inf

    def reset(self) -> None:
        """Have its budget begin anew."""
        self.budget.clear()

    def names(self, error: Exception) -> bool:
        """Return whether *error* is of those that are retried."""
        return self._on(error)

    def succeeded(self) -> None:
        """Count a call whose first attempt succeeded."""
        meter = self.budget.meter
        now_s = meter.monotonic()
        if now_s < meter.edge:
            meter.ok += 1
        else:
            self.budget.succeeded(now_s)

    def recovered(self, attempts: int) -> None:
        """Count a call that a later attempt saved, and tell of it."""
        self._count(self._outcomes, "recovered")
        self.budget.answered(self.clock.monotonic())
        publish(RetryRecovered(self.name, attempts))

    def expired(self, attempts: int, error: Exception | None) -> DeadlineExceeded:
        """Count a call that its deadline cut off, and return the error for it."""
        kind = DeadlineExceeded if error is None else type(error)
        self._count(self._outcomes, "exhausted_deadline")
        publish(RetryExhausted(self.name, attempts, "deadline", kind.__name__))
        made = DeadlineExceeded(
            f"{self.name}: the deadline passed in attempt {attempts}"
        )
        marked(made.__dict__, MARK, self.name)
        return made

    def wait_s(
        self,
        error: Exception,
        attempt: int,
        until_s: float,
        running: Running | None = None,
    ) -> float | None:
        """
        Decide after a failed attempt.

        Args:
            error: What the attempt raised.
            attempt: Which it was, from 1.
            until_s: The monotonic time by which the call must be done.
            running: The call; None: it began just now.

        Returns:
            Seconds to wait for the next attempt, or None: raise the error.
        """
        config = self.config
        if config.mode == "off":
            return None

        now_s = self.clock.monotonic()
        if attempt == 1 and not isinstance(error, Rejected):
            self.budget.deposit(now_s)  # what was refused put no load on anything

        running = running or Running()
        reason: str | None = self._refusal(error, attempt, running)
        if reason == "not_retryable" and not _failed(error, running):
            self.budget.answered(now_s)

        wait_s, by = 0.0, "error"
        if reason is None:
            hint_s = self._hint_s(error)
            wait_s = full_jitter_s(attempt, config.base_s, config.max_s, self._rng)
            if hint_s is not None:
                wait_s, by = hinted_s(wait_s, hint_s, self._rng), "hint"

            if hint_s is not None and hint_s > MAX_HINT_S:
                reason = "hint"
            elif now_s + wait_s >= until_s:
                reason = "deadline"
            elif not self.budget.withdraw(now_s):
                reason = "budget"
            elif config.mode == "observe":
                reason = "observed"

        if reason is not None:
            self._give_up(error, attempt, reason)
            return None

        self._count(self._retries, by)
        publish(RetryScheduled(self.name, attempt, wait_s, type(error).__name__))
        return wait_s

    def counts(self) -> dict[str, int]:
        """Return how many calls have had each outcome since the process started."""
        with self._lock:
            first = self.budget.meter.ok - self._before_fork
            return {**self._outcomes, "success": first}

    def retries(self) -> dict[str, int]:
        """Return how many retries were made, by what set their wait."""
        with self._lock:
            return dict(self._retries)

    def _refusal(self, error: Exception, attempt: int, running: Running) -> str | None:
        if isinstance(error, Rejected):
            limited = isinstance(error, RateLimited) and error.retry_after is not None
            if not limited:
                return "not_retryable"

        if _is_once(error, running) or not self._on(error):
            return "not_retryable"

        if not self.nested:
            met(self.name, error, running)
            inner = given_up(error, running, self.name)
            if running.is_unsure:
                self._is_careful, self.meter = True, None

            if inner:
                return "nested"

        return "attempts" if attempt >= self.config.attempts else None

    def _hint_s(self, error: Exception) -> float | None:
        hint: object = None
        if isinstance(error, Rejected):
            hint = error.retry_after
        elif self._retry_after is not None:
            try:
                hint = self._retry_after(error)
            except Exception as fault:  # noqa: BLE001 - the backoff does without it
                report_foreign("resilience.retry_after", fault)

        if not isinstance(hint, int | float) or not hint >= 0.0:
            return None

        return float(min(hint, _LONGEST_S))  # an integer may be none of a float's

    def _give_up(self, error: Exception, attempt: int, reason: str) -> None:
        plain = reason in _PLAIN
        self._count(self._outcomes, reason if plain else f"exhausted_{reason}")
        if reason == "observed" or (plain and attempt == 1):
            return

        times = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        note = f"svcready: retry {self.name!r} gave up after {times}: {reason}"
        if reason in {"not_retryable", "nested"}:
            note_on(error, note)
        else:
            give_up(error, self.name, note)

        publish(RetryExhausted(self.name, attempt, reason, type(error).__name__))

    def _count(self, counter: Counter[str], key: str) -> None:
        with self._lock:
            counter[key] += 1

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outcomes.clear()  # the parent tells of them
        self._retries.clear()
        self._before_fork = self.budget.meter.ok


class Course(Running):
    """
    One call's way through its attempts.

    Args:
        retrier: The policy.
        until_s: The monotonic time by which the call must be done.
        before: The last mark that was made before it; None: it begins now.
    """

    __slots__ = ("attempt", "error", "retrier", "until_s")

    def __init__(
        self,
        retrier: Retrier,
        until_s: float | None = None,
        *,
        before: int | None = None,
    ) -> None:
        super().__init__(before)
        self.retrier = retrier
        self.until_s = _deadline.until_s() if until_s is None else until_s
        self.attempt = 1
        """Which attempt is running, from 1."""
        self.error: Exception | None = None
        """What the attempt before raised."""

    def wait_s(self, error: Exception) -> float | None:
        """Return the wait before the next attempt, or None: raise *error*."""
        self.error = error
        wait_s = self.retrier.wait_s(error, self.attempt, self.until_s, self)
        if wait_s is None:
            self.error = None  # it goes out with its traceback, which holds our frames
        else:
            self.attempt += 1

        return wait_s

    def done(self) -> None:
        """Count the success of the running attempt."""
        self.error = None
        if self.attempt == 1:
            self.retrier.succeeded()
        else:
            self.retrier.recovered(self.attempt)


def _failed(error: Exception, running: Running) -> bool:
    """Return whether *error* is no answer: nobody was asked, or nobody was there."""
    is_none = isinstance(error, Rejected | OSError) or _is_once(error, running)
    return is_none or is_timeout(error)


def _is_once(error: Exception, running: Running) -> bool:
    return running.began_before(mark_of(attributes_of(error), ONCE))
