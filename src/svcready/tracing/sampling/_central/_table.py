"""The rules that X-Ray gave, and what they have become in this process."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready.tracing.sampling._central._state import RuleState
from svcready.tracing.sampling._matcher import Matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from svcready.config._sampling_rules import SamplingRule
    from svcready.tracing.sampling._central._state import Turn
    from svcready.tracing.sampling._service import Service

    Describe = Callable[[], Mapping[str, object]]
    Match = Callable[[str, str, Describe], RuleState | None]

__all__ = ["InForce", "RuleTable"]

_MOST_RETIRED = 256


class InForce(NamedTuple):
    """What a request is matched with."""

    match: Match
    until_s: float
    """When the rules are too old to be used, on the monotonic clock."""


def _nothing(method: str, path: str, describe: Describe) -> RuleState | None:  # noqa: ARG001
    return None


class RuleTable:
    """
    The states of all rules, live and retired.

    Args:
        service: Rules for others are never matched.
        turn: Tells when this process may borrow.
        uniform: Draws from [0, 1).
    """

    def __init__(
        self,
        service: Service,
        turn: Turn,
        uniform: Callable[[], float],
    ) -> None:
        self._service = service
        self._turn = turn
        self._uniform = uniform
        self._changing = threading.Lock()
        self.live: dict[str, RuleState] = {}
        self.retired: dict[str, RuleState] = {}
        """Rules that are no more, and may have counts that nobody was told."""
        self.in_force = InForce(_nothing, -math.inf)
        self.boosting = False
        """Whether any rule may be boosted."""

    def replace(self, rules: Iterable[SamplingRule], until_s: float) -> int:
        """
        Put *rules* in force in place of those before.

        A rule that was there keeps its reservoir and its counts, one that is gone its
        counts.

        Args:
            rules: All there are; of several with one name the first counts.
            until_s: When they are too old to be used.

        Returns:
            How many requests nobody will be told of, because too many rules are gone.
        """
        with self._changing:
            live: dict[str, RuleState] = {}
            for rule in rules:
                if rule.name in live:
                    continue

                state = self.live.get(rule.name) or self.retired.pop(rule.name, None)
                if state is None:
                    state = RuleState(rule, self._turn, self._uniform)
                else:
                    state.change(rule)

                live[rule.name] = state

            for name, state in self.live.items():
                if name not in live:
                    self.retired[name] = state

            in_force = self._matched(live, until_s)
            boosting = any(it.rule.boost_max_rate is not None for it in live.values())
            # Together, or a child that is forked here counts for rules it won't find.
            self.live, self.in_force, self.boosting = live, in_force, boosting
            return self._forget_oldest()

    def serve(self, service: Service) -> None:
        """Match for another *service*, which a look-up has found this to be."""
        with self._changing:
            self._service = service
            self.in_force = self._matched(self.live, self.in_force.until_s)

    def forget_reported(self) -> None:
        """Forget the rules that are no more and of which there is nothing to tell."""
        for name, state in tuple(self.retired.items()):
            if not state.pending().requests and not state.pending_boost().traces:
                del self.retired[name]

    def begin_anew(self) -> None:
        """Leave to the process that we were forked from what is its own."""
        self._changing = threading.Lock()
        self.retired = {}
        for state in self.live.values():
            state.begin_anew()

    def _matched(self, live: Mapping[str, RuleState], until_s: float) -> InForce:
        rules = [(state.rule, state) for state in live.values()]
        return InForce(Matcher(rules, self._service).match, until_s)

    def _forget_oldest(self) -> int:
        lost = 0
        while len(self.retired) > _MOST_RETIRED:
            name = next(iter(self.retired))
            lost += self.retired.pop(name).pending().requests

        return lost
