"""Decisions: whether a request is sampled, and by which rule."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from svcready.tracing.sampling._reservoir import Reservoir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["BY_CALLER", "Decider", "Rule"]

BY_CALLER = "caller"
"""What stands for a rule's name where the caller's flag decided."""
_BY_SETTING = "setting"


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

    __slots__ = ("_admitted", "_honoured", "_rule")

    def __init__(
        self, rule: Rule, trust: str, inbound_max_per_s: float, clock: Clock
    ) -> None:
        self._rule = rule.decide
        self._honoured = trust == "always"
        self._admitted = Reservoir(inbound_max_per_s, clock).take

    def decide(self, method: str, path: str, describe: Describe) -> str | None:  # noqa: ARG002
        """
        Decide about a trace that begins here.

        Args:
            method: The request's; empty for what is no request.
            path: As received, before any routing; `/` for what is no request.
            describe: Gives the span's first attributes by the names of OpenTelemetry's
                conventions; called only if a rule looks at host or attributes.

        Returns:
            The name of the rule by which it is sampled; None if it is not.
        """
        return _BY_SETTING if self._rule() else None

    def inbound(
        self,
        flag: bool | None,  # noqa: FBT001 - three values
        method: str,
        path: str,
        describe: Describe,
    ) -> str | None:
        """Decide, given the caller's sampled flag; None if it sent none."""
        if flag is None or not self._honoured:
            return self.decide(method, path, describe)

        if not flag:
            return None

        return BY_CALLER if self._admitted() else self.decide(method, path, describe)
