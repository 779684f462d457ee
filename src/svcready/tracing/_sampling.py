"""Sampling: a reservoir of so many a second, then a part of the rest."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

__all__ = ["Decider", "Reservoir", "Rule"]


class Reservoir:
    """
    Lets so many through each second, in bursts of up to one second's worth.

    It is the generic cell rate algorithm: one number, the time at which all that was
    taken is paid back, so a decision takes no lock. Threads that meet inside it may
    take one more each.

    Args:
        per_second: How many; 0 lets nothing through.
        clock: Its monotonic time is used.
    """

    __slots__ = ("_burst_s", "_interval_s", "_now", "_paid_s")

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._now = clock.monotonic
        self._interval_s = 1.0 / per_second if per_second > 0 else 0.0
        self._burst_s = max(0.0, 1.0 - self._interval_s) + 1e-9
        self._paid_s = float("-inf") if per_second > 0 else float("inf")

    def take(self) -> bool:
        """Take one, if there is one."""
        now = self._now()
        paid = self._paid_s
        if paid - now > self._burst_s:
            return False

        self._paid_s = max(now, paid) + self._interval_s
        return True


class Rule:
    """
    One rule, as in `1/s+5%`.

    Args:
        per_second: So many each second are sampled first.
        ratio: The part of the others that is sampled.
        clock: Drives the reservoir.
        uniform: Draws from [0, 1).
    """

    __slots__ = ("decide", "per_second", "ratio")

    def __init__(
        self,
        per_second: float,
        ratio: float,
        clock: Clock,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.per_second = per_second
        self.ratio = ratio
        self.decide = self._decision(Reservoir(per_second, clock).take, uniform)

    def __str__(self) -> str:
        parts = [f"{self.per_second:g}/s"] if self.per_second else []
        if self.ratio or not parts:
            parts.append(f"{self.ratio * 100:g}%")

        return "+".join(parts)

    def _decision(
        self, take: Callable[[], bool], uniform: Callable[[], float]
    ) -> Callable[[], bool]:
        ratio = self.ratio
        if ratio >= 1.0:
            return lambda: True

        if self.per_second <= 0:
            return (lambda: uniform() < ratio) if ratio > 0 else (lambda: False)

        return lambda: take() or uniform() < ratio


class Decider:
    """
    Decides about a request, given what its caller decided.

    Args:
        rule: Decides where the caller did not, or may not.
        trust: `always`: the caller's flag counts; `never` and
            `sampled-flag-ignored`: it does not.
        inbound_max_per_s: So many a second can be sampled by the caller's flag.
        clock: Drives that limit.
    """

    __slots__ = ("_admitted", "_honoured", "decide")

    def __init__(
        self, rule: Rule, trust: str, inbound_max_per_s: float, clock: Clock
    ) -> None:
        self.decide = rule.decide
        self._honoured = trust == "always"
        self._admitted = Reservoir(inbound_max_per_s, clock).take

    def inbound(self, flag: bool | None) -> bool:  # noqa: FBT001 - three values
        """Return the decision for a caller's sampled flag, None if it sent none."""
        if flag is None or not self._honoured:
            return self.decide()

        return flag and (self._admitted() or self.decide())
