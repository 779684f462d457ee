"""Layers of sampling rules: each decides about what its rules match."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from svcready.config._sampling_rules import DEFAULT_PRIORITY
from svcready.tracing.sampling._matcher import Matcher
from svcready.tracing.sampling._rate import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready.config._sampling_rules import SamplingRule
    from svcready.tracing.sampling._service import Service

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["UNMATCHED", "Layer", "RuleLayer", "Unmatched", "local_layers"]


class Unmatched(Enum):
    """The type of `UNMATCHED`."""

    UNMATCHED = "unmatched"


UNMATCHED: Final = Unmatched.UNMATCHED
"""What a layer says of a request that none of its rules matches."""


class Layer(Protocol):
    """Rules of one source; the `Decider` asks one layer after the other."""

    def decide(
        self, method: str, path: str, describe: Describe
    ) -> str | Literal[Unmatched.UNMATCHED] | None:
        """
        Decide about a trace that begins here; does no I/O and takes no lock.

        Returns:
            The name of the X-Ray rule by which it is sampled, empty for a rule
            without one; None if a rule says no; `UNMATCHED` if no rule is for it.
        """
        ...

    def share(self, workers: int) -> None:
        """Learn that so many processes of the service sample, this one included."""
        ...

    def serve(self, service: Service) -> None:
        """Learn of which service, and of what it runs in."""
        ...

    def describe(self) -> str:
        """Say for people what the layer has: `3 rules of SVCREADY_TRACING_RULES`."""
        ...


class RuleLayer:
    """
    Rules that do not change.

    Args:
        rules: In any order.
        source: Where they are from, for people.
        clock: Drives their reservoirs.
        service: Those for others are left out.
    """

    def __init__(
        self,
        rules: Sequence[SamplingRule],
        source: str,
        clock: Clock,
        service: Service,
    ) -> None:
        self._source = source
        self._rates = [Rate(rule.reservoir, rule.rate, clock) for rule in rules]
        self._outcomes = [
            (rule, _outcome(rule.name, rate.decide))
            for rule, rate in zip(rules, self._rates, strict=True)
        ]
        self._service = service
        self._match = Matcher(self._outcomes, service).match

    def decide(
        self, method: str, path: str, describe: Describe
    ) -> str | Literal[Unmatched.UNMATCHED] | None:
        """Have the first rule that matches decide."""
        outcome = self._match(method, path, describe)
        return UNMATCHED if outcome is None else outcome()

    def share(self, workers: int) -> None:
        """Take from each reservoir the part of one among so many processes."""
        for rate in self._rates:
            rate.share(workers)

    def serve(self, service: Service) -> None:
        """Try the rules for *service*; their reservoirs stay as they are."""
        if service != self._service:
            self._service = service
            self._match = Matcher(self._outcomes, service).match

    def describe(self) -> str:
        """Say how many rules there are and where they are from."""
        plural = "s" if len(self._rates) != 1 else ""
        return f"{len(self._rates)} rule{plural} of {self._source}"


def local_layers(
    variable: Sequence[SamplingRule],
    file: Sequence[SamplingRule],
    clock: Clock,
    service: Service,
) -> tuple[list[Layer], list[Layer]]:
    """
    Return the layers before X-Ray's central rules and those behind them.

    The default rule of a file decides about what no other rule matches, so it stands
    behind X-Ray's, in place of the setting `sampling`.

    Args:
        variable: The rules of the setting `rules`.
        file: Those of the setting `rules_file`.
        clock: Drives their reservoirs.
        service: Rules for others are left out.
    """

    def layers(rules: Sequence[SamplingRule], source: str) -> list[Layer]:
        return [RuleLayer(rules, source, clock, service)] if rules else []

    usual = [rule for rule in file if rule.priority < DEFAULT_PRIORITY]
    default = [rule for rule in file if rule.priority >= DEFAULT_PRIORITY]
    first = layers(variable, "SVCREADY_TRACING_RULES")
    return (
        first + layers(usual, "the rules file"),
        layers(default, "the rules file's default"),
    )


def _outcome(name: str, samples: Callable[[], bool]) -> Callable[[], str | None]:
    return lambda: name if samples() else None
