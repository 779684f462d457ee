"""What one of X-Ray's rules does in this process: reservoir, rate and counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.config._sampling_rules import SamplingRule

__all__ = ["BoostCounts", "Counts", "RuleState", "Turn"]


class Counts(NamedTuple):
    """What a rule decided."""

    requests: int = 0
    sampled: int = 0
    """Those that were borrowed included."""
    borrowed: int = 0


class BoostCounts(NamedTuple):
    """How the traces ended that a rule decided about."""

    traces: int = 0
    anomalies: int = 0
    sampled_anomalies: int = 0


class Turn:
    """
    When it is this process' turn to borrow: all rules' one cell.

    The processes of one service share what may be borrowed, one a second, without
    asking each other: each takes every so manieth second, from a random one on.

    Args:
        uniform: Draws from [0, 1).
    """

    __slots__ = ("_uniform", "every_s", "from_s")

    def __init__(self, uniform: Callable[[], float]) -> None:
        self._uniform = uniform
        self.every_s = 1.0
        self.from_s = 0.0

    def share(self, workers: int) -> None:
        """Learn that so many processes borrow, this one included."""
        if workers != self.every_s:
            self.every_s = float(max(workers, 1))
            self.from_s = float(int(self._uniform() * self.every_s))


class RuleState:
    """
    A rule in force: decides, and counts what it decided.

    Nothing here is locked. A decision changes its numbers in one go, without any call
    in between at which another thread could come in; counts only ever grow, and
    whoever reports them remembers how far.

    Args:
        rule: As the service gave it.
        turn: Tells when this process may borrow.
        uniform: Draws from [0, 1).
    """

    __slots__ = (
        "_boost_rate",
        "_borrow_at_s",
        "_borrows",
        "_quota",
        "_reported",
        "_reported_boost",
        "_second_ends_s",
        "_taken",
        "_turn",
        "_uniform",
        "anomalies",
        "boost_until_s",
        "borrowed",
        "name",
        "quota_until_s",
        "rate",
        "requests",
        "rule",
        "sampled",
        "sampled_anomalies",
        "traces",
    )

    def __init__(
        self,
        rule: SamplingRule,
        turn: Turn,
        uniform: Callable[[], float],
    ) -> None:
        self.name = rule.name
        self.rule = rule
        self.rate = rule.rate
        self.quota_until_s = -math.inf
        self.boost_until_s = -math.inf
        self.requests = self.sampled = self.borrowed = 0
        self.traces = self.anomalies = self.sampled_anomalies = 0
        self._turn = turn
        self._uniform = uniform
        self._borrows = rule.reservoir > 0
        self._quota = 0.0
        self._boost_rate = 0.0
        self._taken = 0
        self._second_ends_s = -math.inf
        self._borrow_at_s = -math.inf
        self._reported = Counts()
        self._reported_boost = BoostCounts()

    def take(self, now_s: float) -> bool:
        """
        Count one request, and tell whether it is sampled.

        Args:
            now_s: The monotonic time.
        """
        drawn = self._uniform()
        # No call from here on: see the class.
        self.requests += 1
        if now_s <= self.quota_until_s:
            if now_s >= self._second_ends_s:
                self._second_ends_s = now_s // 1.0 + 1.0
                self._taken = 0

            if self._taken < self._quota:
                self._taken += 1
                self.sampled += 1
                return True

        elif self._borrows and now_s >= self._borrow_at_s:
            every_s, from_s = self._turn.every_s, self._turn.from_s
            self._borrow_at_s = (now_s - from_s) // every_s * every_s + every_s + from_s
            self.sampled += 1
            self.borrowed += 1
            return True

        rate = self.rate if now_s > self.boost_until_s else self._boost_rate
        if drawn < rate:
            self.sampled += 1
            return True

        return False

    def ended(self, *, anomaly: bool, sampled: bool) -> None:
        """Count one trace that the rule decided about and that has ended."""
        self.traces += 1
        if anomaly:
            self.anomalies += 1
            if sampled:
                self.sampled_anomalies += 1

    def change(self, rule: SamplingRule) -> None:
        """
        Put another definition of the rule in force.

        Reservoir and counts go on. The rate that the service has given since is kept,
        unless the rule's own has changed.
        """
        if rule.rate != self.rule.rate:
            self.rate = rule.rate

        self.rule = rule
        self._borrows = rule.reservoir > 0
        if not self._borrows:
            self.quota_until_s = -math.inf

        if rule.boost_max_rate is None:
            self.boost_until_s = -math.inf
        else:
            self._boost_rate = min(self._boost_rate, rule.boost_max_rate)

    def set_quota(self, quota: float, until_s: float) -> None:
        """Take up to *quota* a second until then, on the monotonic clock."""
        self._quota = quota
        self.quota_until_s = until_s

    def set_boost(self, rate: float, until_s: float) -> None:
        """Sample at *rate* until then, as far as the rule allows."""
        if self.rule.boost_max_rate is not None:
            self._boost_rate = min(rate, self.rule.boost_max_rate)
            self.boost_until_s = until_s

    def pending(self) -> Counts:
        """Return what was counted and not reported yet."""
        borrowed, sampled, requests = self.borrowed, self.sampled, self.requests
        before = self._reported
        return Counts(
            requests - before.requests,
            sampled - before.sampled,
            borrowed - before.borrowed,
        )

    def reported(self, counts: Counts) -> None:
        """Take note that *counts*, which were pending, have arrived."""
        before = self._reported
        self._reported = Counts(
            before.requests + counts.requests,
            before.sampled + counts.sampled,
            before.borrowed + counts.borrowed,
        )

    def pending_boost(self) -> BoostCounts:
        """Return the ends that were counted and not reported yet."""
        sampled, anomalies, traces = (
            self.sampled_anomalies,
            self.anomalies,
            self.traces,
        )
        before = self._reported_boost
        return BoostCounts(
            traces - before.traces,
            anomalies - before.anomalies,
            sampled - before.sampled_anomalies,
        )

    def reported_boost(self, counts: BoostCounts) -> None:
        """Take note that *counts*, which were pending, have arrived."""
        before = self._reported_boost
        self._reported_boost = BoostCounts(
            before.traces + counts.traces,
            before.anomalies + counts.anomalies,
            before.sampled_anomalies + counts.sampled_anomalies,
        )

    def begin_anew(self) -> None:
        """
        Leave quota and counts to the process that we were forked from.

        Both belong to its client id.
        """
        self.quota_until_s = -math.inf
        self.reported(self.pending())
        self.reported_boost(self.pending_boost())
