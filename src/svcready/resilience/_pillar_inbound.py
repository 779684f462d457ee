"""What inbound requests are asked of, as the pillar keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._answered import answer_policies
from svcready.resilience._http._deadline_fields import DEADLINE_HEADER, use_field
from svcready.resilience._limiting._idle import ForRoute, RouteCheck
from svcready.resilience._limiting._inbound import Admissions
from svcready.resilience._limiting._limits_late import LateLimits
from svcready.resilience._limiting._limits_shown import LimitsShown, for_route
from svcready.resilience._shed._pillar_shedding import InboundShedding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready.resilience._http._inbound_deadline import DeadlineCounts
    from svcready.resilience._limiting._inbound import Admission
    from svcready.resilience._limiting._inbound_means import DeclaredRoute, InboundMeans

__all__ = ["InboundPillar"]


class InboundPillar:
    """
    All that may answer a request in the application's place, for one runtime.

    What is switched off is not loaded.

    Args:
        means: What the operator says.
        clock: Monotonic time.
    """

    def __init__(self, means: InboundMeans, clock: Clock) -> None:
        self._means = means
        self._clock = clock
        self._deadlines: DeadlineCounts | None = None
        self._check = RouteCheck()
        self.named = means.named
        """Returns what the operator calls a limit's field."""
        self.rules_said = means.rules_said
        """Returns where the operator says the rules."""
        self.shedding = InboundShedding(means, clock)
        """The load shedding."""
        self.limits = LateLimits(means, clock)
        """The limits."""

    def start(self) -> None:
        """Put the operator's numbers in force, keeping what is known."""
        if self._means.http is not None:
            use_field(self._means.http().deadline_header)
            answer_policies(on=self._means.http().answer_refusals)

        self.shedding.start()
        self.limits.start()

    def close(self) -> None:
        """Let go."""
        use_field(DEADLINE_HEADER)
        answer_policies(on=False)
        self.shedding.close()
        self.limits.close()

    def admissions(self) -> Admissions | None:
        """Return what requests are asked of, in this order; None: of nothing."""
        chain = [*self._deadline(), *self.shedding.chain(), *self.limits.chain()]
        return Admissions(chain) if chain else None

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, once everything is declared that will be."""
        rules, means = tuple(self._rules()), self._means
        elsewhere = means.elsewhere()
        found = self._check.find(rules, means.routes, means.is_own, elsewhere)
        return (*self.limits.problems(), *found)

    def doubtful(self) -> frozenset[str]:
        """Return which of the problems last told may be none."""
        return self._check.doubtful

    def about(self) -> LimitsShown:
        """Return what tells operators of limits besides their numbers, once."""
        means, check = self._means, self._check

        def idle(routes: Sequence[DeclaredRoute]) -> Mapping[ForRoute, str]:
            rules = tuple(self._rules())
            return check.idle(rules, routes, means.is_own, means.elsewhere())

        return LimitsShown(self.limits.rules(), means, idle)

    def counts(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield how many requests there were: kind, name, outcome, how many."""
        yield from self.shedding.counts()
        if self._deadlines is not None:
            for outcome, total in self._deadlines.totals().items():
                yield "inbound_deadline", "http", outcome, total

    def levels(self) -> Iterator[tuple[str, str, int, int, int]]:
        """Yield how full it is: kind, name, in flight, waiting, how many may be."""
        return self.shedding.levels()

    def _rules(self) -> Iterator[ForRoute]:
        """Yield all that the operator says of routes."""
        for rule in self.limits.rules():
            yield for_route(rule)

        http = None if self._means.http is None else self._means.http()
        for method, template, name in () if http is None else http.priorities:
            yield ForRoute(f"priority {name}", method, template)

    def _deadline(self) -> list[Admission]:
        http = None if self._means.http is None else self._means.http()
        if http is None or not (http.deadline_trusted or http.deadline_default_s):
            return []

        from svcready.resilience._http import _inbound_deadline

        self._deadlines = counts = _inbound_deadline.deadline_counts()
        now = self._clock.monotonic
        return [_inbound_deadline.inbound_deadline(http, now, counts)]
