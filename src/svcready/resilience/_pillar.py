"""The resilience pillar: binds what was declared to a runtime, and shows its state."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.declarations import variable
from svcready.resilience._breaking._states import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
)
from svcready.resilience._composing._contradictions import blind, consistent
from svcready.resilience._composing._plans import presumed, undeclared
from svcready.resilience._described import MOST_SHOWN, Names, show
from svcready.resilience._lacking import lacking
from svcready.resilience._limiting._inbound_means import NO_INBOUND
from svcready.resilience._overrides import naming
from svcready.resilience._parts import (
    DERIVED,
    LIMIT_KIND,
    PER_HOST,
    bind_parts,
    cores,
    declared_as,
    parts,
)
from svcready.resilience._pillar_inbound import InboundPillar
from svcready.resilience._pillar_model import CallCount, PolicyLevel, PolicyState
from svcready.resilience._retrying._nested import begin_telling
from svcready.resilience._timing._deadline import read_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._described import Shown
    from svcready.resilience._limiting._inbound import Admissions
    from svcready.resilience._limiting._inbound_means import InboundMeans
    from svcready.resilience._parts import AnyDeclared, Part
    from svcready.resilience._retrying._retrier import Retrier
    from svcready.resilience._sharing._shared import Shared
    from svcready.resilience._shed._shedder import SheddingState

__all__ = ["ResiliencePillar", "apply"]

_LEVELS = {CLOSED: 0, HALF_OPEN: 1, OPEN: 2}
_FORCED = 3


def apply(
    name: str, values: Mapping[str, object], clock: Clock | None = None
) -> tuple[str, ...]:
    """
    Put an operator's values in force for everything called *name*, keeping its state.

    A value that is left out falls back to the code's.

    Args:
        name: The policy's name.
        values: By field in lower case, as `SVCREADY_POLICY__<NAME>__<FIELD>` has them
            (`POLICY_FIELDS`): `retry_attempts`, `breaker_open_s`, `mode`, ...
        clock: Monotonic time, and who waits; None: the one in use.

    Returns:
        What is wrong with the values, a line each; such a value is not in force.
    """
    values, clashes = consistent(name, values)
    problems: list[str] = list(clashes)
    for declared in declared_as(name).values():
        problems += declared.tune(values, clock or declared.core.clock)

    return tuple(dict.fromkeys(problems))  # all of them complain of a wrong mode


def _retriers() -> list[Retrier]:
    return cores("retry")


def _breakers() -> list[Breaker]:
    return cores("breaker")


class ResiliencePillar:
    """
    The policies of one runtime.

    Args:
        enabled: Whether policies take part; if not, every call is let through once.
        clock: Monotonic time, and who waits.
        policy_values: The operator's values for a name, those for all names included.
        named: Returns what the operator calls a policy's field.
        inbound: What the operator says of inbound requests.
        shared: What is shared with other processes; None: nothing.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        clock: Clock,
        policy_values: Callable[[str], Mapping[str, object]],
        named: Callable[[str, str], str] = lambda _, field: field,
        inbound: InboundMeans = NO_INBOUND,
        shared: Shared | None = None,
    ) -> None:
        self._enabled = enabled
        self._clock = clock
        self._policy_values = policy_values
        self._named = named
        self.shared = shared
        self._inbound = InboundPillar(inbound, clock)
        self.limits = self._inbound.limits
        """The limits on inbound requests."""
        self._wrong: dict[str, None] = {}

    def start(self) -> None:
        """Tune what is declared, and what will be."""
        self._wrong.clear()
        read_by(self._clock)
        bind_parts(self._bind)
        self._inbound.start()

    def wake(self) -> None:
        """Begin in this process what has a thread of its own."""
        if self.shared is not None:
            self.shared.wake()

    def begin_telling(self) -> None:
        """Tell whoever listens by now of retries inside retries that were declared."""
        begin_telling()

    def reload(self) -> None:
        """Tune everything again, because the operator's values may have changed."""
        self.start()

    def close(self) -> None:
        """Let go: code's numbers and the system's clock are in force again."""
        if self.shared is not None:
            self.shared.close()

        bind_parts(None)
        self._inbound.close()
        begin_telling(on=False)
        read_by(SYSTEM_CLOCK)
        for part in parts():
            part.register.bind(None)
            for declared in part.register.things():
                declared.tune({}, SYSTEM_CLOCK)

    def inbound(self) -> Admissions | None:
        """Return what inbound requests are asked of; None: nothing is limited."""
        return self._inbound.admissions()

    def shedding(self) -> SheddingState | None:
        """Return how load shedding stands; None: it is off."""
        return self._inbound.shedding.state()

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong, once everything is declared that will be."""
        return (*undeclared(), *self._inbound.problems())

    def doubtful(self) -> frozenset[str]:
        """Return which of the problems last told may be none."""
        return self._inbound.doubtful()

    def notices(self) -> tuple[str, ...]:
        """Return what is worth knowing of what is declared, and no problem."""
        if not self._enabled:
            return presumed()

        return (*filter(None, map(blind, self.names())), *presumed())

    def untuned(self) -> tuple[str, ...]:
        """Return what is wrong with the operator's values for what is declared."""
        return tuple(self._wrong)

    def names(self) -> tuple[str, ...]:
        """Return the names of all policies."""
        names = (name for part in parts() for name in part.register.names())
        return tuple(dict.fromkeys(names))

    def comes(self, kind: str, spelt: str) -> bool:
        """
        Return whether a client may make a policy of that name at its first request.

        Args:
            kind: The kind of name, as variables have it.
            spelt: The name as variables spell it.
        """
        bases = (f"{variable(base)}_" for base in PER_HOST)
        return kind == "POLICY" and any(map(spelt.startswith, bases))

    def lacks(self, spelt: str, field: str) -> str:
        """Return what a policy would need for *field* to mean something, or nothing."""
        return lacking(spelt, field)

    def describe(self) -> dict[str, dict[str, dict[str, object]]]:
        """Return the numbers in force, by policy and kind of part."""
        described: dict[str, dict[str, dict[str, object]]] = {}
        for kind, _ in parts():
            for core in self._all(kind):
                described.setdefault(core.name, {})[kind] = core.config._asdict()

        return described

    def show(self, prefix: str = "", most: int = MOST_SHOWN) -> Shown:
        """
        Return policies as operators are shown them, by name.

        Args:
            prefix: How their names begin.
            most: How many are shown; breakers that are not closed come first.
        """
        inbound = self._inbound
        about = inbound.about().of
        names = Names(self._named, inbound.named, inbound.rules_said, about)
        return show(self._all, names, prefix, most)

    def states(self) -> list[PolicyState]:
        """Return how every breaker stands."""
        states = []
        for breaker in _breakers():
            state = breaker.state
            states.append(
                PolicyState(
                    "breaker",
                    breaker.name,
                    state,
                    _LEVELS.get(state, _FORCED),
                    breaker.config.mode,
                    breaker.reason,
                    breaker.last_failure,
                )
            )

        return states

    def force(self, name: str, state: str) -> bool:
        """
        Hold a breaker open or closed, or let it decide by outcomes again.

        Args:
            name: The breaker's name.
            state: `open`, `closed` or `auto`.

        Returns:
            False if none is called so.
        """
        for breaker in _breakers():
            if breaker.name == name:
                if state == "auto":
                    breaker.reset()
                else:
                    breaker.force(FORCED_OPEN if state == "open" else FORCED_CLOSED)

                return True

        return False

    def calls(self) -> list[CallCount]:
        """Return the calls of every policy by outcome, since the process began."""
        counts = [
            CallCount(kind, core.name, outcome, total)
            for kind, _ in parts()
            for core in self._all(kind)
            for outcome, total in core.counts().items()
        ]
        return counts + [CallCount(*count) for count in self._inbound.counts()]

    def levels(self) -> list[PolicyLevel]:
        """Return how full everything is that only so many calls may be in."""
        return [
            PolicyLevel(kind, core.name, *core.level())
            for kind, _ in parts()
            for core in cores(kind)
            if hasattr(core, "level")
        ] + [PolicyLevel(*level) for level in self._inbound.levels()]

    def abandoned(self) -> list[tuple[str, int]]:
        """Return how many threads each time-out has given up that still run."""
        return [
            (timer.name, timer.abandoned)
            for timer in cores("timeout")
            if timer.pool is not None
        ]

    def retries(self) -> list[CallCount]:
        """Return the retries of every policy by what set their wait."""
        return [
            CallCount("retry", retrier.name, reason, total)
            for retrier in _retriers()
            for reason, total in retrier.retries().items()
        ]

    def _bind(self, part: Part) -> None:
        limits = part.kind == LIMIT_KIND and self._enabled
        part.register.bind(self.limits.tune if limits else self._tune)

    def _all(self, kind: str) -> list[Any]:
        return cores(kind) + (self.limits.ruled() if kind == LIMIT_KIND else [])

    def _tune(self, declared: AnyDeclared) -> None:
        name = declared.core.name
        values, clashes = consistent(name, self._values(name))
        self._tell(name, (*declared.tune(values, self._clock), *clashes))
        if clashes:  # what was declared before it is tuned without these as well
            for other in declared_as(name).values():
                other.tune(values, self._clock)

    def _values(self, name: str) -> Mapping[str, object]:
        values = self._policy_values(name)
        if not self._enabled:
            values = {**values, "mode": "off"}

        return values

    def _tell(self, name: str, problems: tuple[str, ...]) -> None:
        base = DERIVED.get(name, name)
        for problem in problems:  # several parts may say the same
            said, of_base = (
                naming(problem, partial(self._named, each)) for each in (name, base)
            )
            # What is said of all hosts of a policy is told once, of the policy.
            whose = base if said == of_base else name
            self._wrong[f"policy {whose}: {said}"] = None
