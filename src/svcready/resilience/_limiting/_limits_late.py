"""The limits on inbound requests, loaded when there is the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._core.clock import Clock
    from svcready.resilience._limiting._inbound import Admission
    from svcready.resilience._limiting._inbound_means import InboundMeans
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._limiter import Limiter
    from svcready.resilience._limiting._pillar_limits import InboundLimits
    from svcready.resilience._parts import AnyDeclared

__all__ = ["LateLimits"]


class LateLimits:
    """
    Stands for the limits of one runtime, whether there are any or not.

    Args:
        means: What the operator says.
        clock: Monotonic time.
    """

    def __init__(self, means: InboundMeans, clock: Clock) -> None:
        self._means = means
        self._clock = clock
        self._limits: InboundLimits | None = None

    def start(self) -> None:
        """Put the operator's rules in force, keeping the state of those known."""
        if self._limits is not None or self._means.rules():
            self.made().start()

    def close(self) -> None:
        """Let go."""
        if self._limits is not None:
            self._limits.close()

    def made(self) -> InboundLimits:
        """Return them, loaded now if they are not."""
        if self._limits is None:
            from svcready.resilience._limiting._pillar_limits import InboundLimits

            self._limits = InboundLimits(self._means, self._clock)

        return self._limits

    def tune(self, declared: AnyDeclared) -> None:
        """Tune a limit that code declared, and have requests asked of it."""
        limits = self.made()
        name = declared.core.name
        declared.tune(limits.values(name), self._clock)
        limits.declared(name)

    def chain(self) -> list[Admission]:
        """Return what requests are asked of; empty if nothing is limited."""
        admission = None if self._limits is None else self._limits.admission()
        return [] if admission is None else [admission]

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, once everything is declared that will be."""
        return () if self._limits is None else tuple(self._limits.problems())

    def rules(self) -> Sequence[Rule]:
        """Return the operator's rules."""
        return () if self._limits is None else self._limits.rules()

    def ruled(self) -> list[Limiter]:
        """Return the limits of the operator's rules."""
        return [] if self._limits is None else self._limits.ruled()
