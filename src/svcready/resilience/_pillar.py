"""The resilience pillar: binds what was declared to a runtime, and shows its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.declarations import variable
from svcready.resilience._breaker import (
    CLOSED,
    FORCED_CLOSED,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
)
from svcready.resilience._parts import bind_parts, cores, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock
    from svcready.config._sections.http import HttpSettings
    from svcready.config._sections.resilience import ResilienceSettings
    from svcready.resilience._breaker import Breaker
    from svcready.resilience._inbound import Admissions
    from svcready.resilience._parts import AnyDeclared
    from svcready.resilience._retrier import Retrier
    from svcready.resilience._sharing._contact import Contact
    from svcready.resilience._sharing._gossip import Gossip
    from svcready.resilience._sharing._rate_store import SharedRates
    from svcready.resilience._store import Store

__all__ = ["CallCount", "PolicyState", "ResiliencePillar", "apply"]

_LEVELS = {CLOSED: 0, HALF_OPEN: 1, OPEN: 2}
_FORCED = 3


class PolicyState(NamedTuple):
    """How one breaker stands, for the health report and the state gauge."""

    kind: str
    """`breaker`."""
    name: str
    """Its name."""
    state: str
    """`closed`, `half_open`, `open`, `forced_open`, `forced_closed`, `disabled`."""
    level: int
    """The gauge: 0 closed, 1 half-open, 2 open, 3 forced."""
    mode: str
    """`enforce`, `observe` or `off`."""
    reason: str | None
    """Why it moved last; None: it never did."""
    last_failure: str | None
    """The class name of the last failure that counted."""


class CallCount(NamedTuple):
    """How often something has happened in this process, for an observed counter."""

    kind: str
    """`breaker` or `retry`."""
    name: str
    """The policy's name."""
    what: str
    """The calls' outcome, or what set the wait of retries."""
    total: int
    """How often."""


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
    problems: list[str] = []
    for part in parts():
        declared = part.register.get(name)
        if declared is not None:
            problems += declared.tune(values, clock or declared.core.clock)

    return tuple(dict.fromkeys(problems))  # all of them complain of a wrong mode


def _kinds_of(field: str) -> set[str]:
    """Return the kinds of parts that a field tunes, which begins with their name."""
    if field == "deadline_s":
        return {"deadline", "retry"}

    return {"rate_limit"} if field.startswith("rate_") else {field.partition("_")[0]}


def _retriers() -> list[Retrier]:
    return cores("retry")


def _breakers() -> list[Breaker]:
    return cores("breaker")


class ResiliencePillar:
    """
    The policies of one runtime.

    Args:
        settings: The section RESILIENCE.
        clock: Monotonic time, and who waits.
        policy_values: The operator's values for a name, those for all names included.
        report: Told what is wrong with them: the policy's name, and a line.
        scope: The service and the environment whose processes share by Redis, asked
            when this one begins to work; None: nobody can tell.
        http: The section HTTP, for where rate limits are counted.
    """

    def __init__(
        self,
        settings: ResilienceSettings,
        *,
        clock: Clock,
        policy_values: Callable[[str], Mapping[str, object]],
        report: Callable[[str, str], None] | None = None,
        scope: Callable[[], tuple[str, str] | None] = lambda: None,
        http: HttpSettings | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._policy_values = policy_values
        self._report = report
        self._scope = scope
        self._http = http
        self._rates: Store | None = None
        self.gossip: Gossip | None = None
        """What tells other processes of breakers that open; None: nothing does."""
        self.shared_rates: SharedRates | None = None
        """What counts rate limits for all processes; None: each counts its own."""

    def start(self) -> None:
        """Tune what is declared, and what will be."""
        bind_parts(lambda part: part.register.bind(self._tune))

    def wake(self) -> None:
        """Begin in this process what has a thread of its own, if that is asked for."""
        settings = self._settings
        if self.shared_rates is not None:
            self.shared_rates.wake()

        asked = settings.share_breakers and settings.redis_url
        if self.gossip is None and asked and (scope := self._scope()) is not None:
            from svcready.config._redis_address import redis_address
            from svcready.resilience._sharing._gossip import Gossip

            self.gossip = Gossip(
                *scope,
                redis_address(settings.redis_url),
                breakers=_breakers,
                quorum=settings.share_quorum,
                clock=self._clock,
            )

        if self.gossip is not None:
            self.gossip.wake()

    def reload(self) -> None:
        """Tune everything again, because the operator's values may have changed."""
        self.start()

    def close(self) -> None:
        """Let go: code's numbers and the system's clock are in force again."""
        if self.gossip is not None:
            self.gossip.close()

        if self.shared_rates is not None:
            self.shared_rates.close()

        bind_parts(None)
        for part in parts():
            part.register.bind(None)
            for declared in part.register.things():
                declared.tune({}, SYSTEM_CLOCK)

    def inbound(self) -> Admissions | None:
        """Return what inbound requests are asked of; None: nothing is limited."""
        return None

    def names(self) -> tuple[str, ...]:
        """Return the names of all policies."""
        names = (name for part in parts() for name in part.register.names())
        return tuple(dict.fromkeys(names))

    def lacks(self, spelt: str, field: str) -> str:
        """
        Return what a policy would need for an operator's field to mean something.

        Args:
            spelt: The policy's name as variables spell it.
            field: A field of `POLICY_FIELDS`.

        Returns:
            An empty string if it has what it needs, or if no policy is called so.
        """
        kinds, found = set(), ""
        for kind, register in parts():
            for name in register.names():
                if variable(name) == spelt:
                    kinds.add(kind)
                    found = name

        if not found or field == "mode" or kinds & _kinds_of(field):
            return ""

        missing = " or ".join(sorted(_kinds_of(field)))
        return f"policy {found!r} has no {missing.replace('_', ' ')}"

    def describe(self) -> dict[str, dict[str, object]]:
        """Return the numbers in force by policy, as the operator's fields name them."""
        described: dict[str, dict[str, object]] = {}
        for kind, _ in parts():
            for core in cores(kind):
                described.setdefault(core.name, {})[kind] = core.config._asdict()

        return described

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
        return [
            CallCount(kind, core.name, outcome, total)
            for kind, _ in parts()
            for core in cores(kind)
            for outcome, total in core.counts().items()
        ]

    def retries(self) -> list[CallCount]:
        """Return the retries of every policy by what set their wait."""
        return [
            CallCount("retry", retrier.name, reason, total)
            for retrier in _retriers()
            for reason, total in retrier.retries().items()
        ]

    def stores(self) -> list[Contact]:
        """Return what is known of the stores that processes share."""
        sharing = (self.gossip, self.shared_rates)
        return [each.contact for each in sharing if each is not None]

    def rate_store(self) -> Store:
        """Return where rate limits on inbound requests are counted, made once."""
        if self._rates is None:
            self._rates = self._make_rate_store()

        return self._rates

    def _make_rate_store(self) -> Store:
        from svcready.resilience._store import MemoryStore

        memory = MemoryStore(self._clock)
        settings, http = self._settings, self._http
        if http is None or http.rate_limit_store != "redis" or not settings.redis_url:
            return memory

        if (scope := self._scope()) is None:
            return memory

        from svcready.config._redis_address import redis_address
        from svcready.resilience._sharing._buckets import key_prefix
        from svcready.resilience._sharing._rate_store import SharedRates

        self.shared_rates = SharedRates(
            redis_address(settings.redis_url),
            key_prefix(*scope),
            memory,
            self._clock,
            on_failure=http.rate_limit_on_store_failure,
            timeout_s=settings.redis_timeout_s,
        )
        return self.shared_rates

    def _tune(self, declared: AnyDeclared) -> None:
        name = declared.core.name
        self._tell(name, declared.tune(*self._values(name)))

    def _values(self, name: str) -> tuple[Mapping[str, object], Clock]:
        values = self._policy_values(name)
        if not self._settings.enabled:
            values = {**values, "mode": "off"}

        return values, self._clock

    def _tell(self, name: str, problems: tuple[str, ...]) -> None:
        if self._report is not None:
            for problem in problems:
                self._report(name, problem)
