"""The limits on inbound requests: those of the code, and those of the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._limiting._in_force import IN_FORCE
from svcready.resilience._limiting._limit import LIMITS
from svcready.resilience._limiting._limit_keys import parse_key
from svcready.resilience._limiting._limit_rules import Rule
from svcready.resilience._limiting._limiter import LimitConfig, Limiter, override_limit
from svcready.resilience._limiting._limits import Limits
from svcready.resilience._limiting._resolvers import RESOLVERS
from svcready.resilience._limiting._store import MemoryStore
from svcready.resilience._limiting._unrouted import Exhausted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready._core.clock import Clock
    from svcready.resilience._limiting._inbound_means import InboundMeans
    from svcready.resilience._limiting._store import Store

__all__ = ["InboundLimits"]


class InboundLimits:
    """
    The limits of one runtime.

    Args:
        means: What the operator says.
        clock: Monotonic time.
    """

    def __init__(self, means: InboundMeans, clock: Clock) -> None:
        self._means = means
        self._clock = clock
        self._ruled: dict[str, Limiter] = {}
        self._rules: tuple[Rule, ...] = ()
        self._exhausted = Exhausted(clock)
        self.store: Store = means.store() if means.store else MemoryStore(clock)
        """Where the buckets are."""

    def start(self) -> None:
        """Put the operator's rules in force, keeping the state of those known."""
        known, self._ruled = self._ruled, {}
        rules = []
        taken = {limiter.name for limiter in _declared()}
        for said in self._means.rules():
            name = f"{said.name}-rule" if said.name in taken else said.name
            limiter = known.get(name)
            by = parse_key(said.by)
            config = LimitConfig(Rate(said.per_s, said.burst))
            if limiter is None or limiter.by != by:
                limiter = Limiter(name, config, by)

            config, _ = override_limit(config, self._means.values(name))
            limiter.use(config, self._clock)
            self._ruled[name] = limiter
            rules.append(Rule(limiter, said.method, said.path, said.cost))

        self._rules = tuple(rules)
        RESOLVERS.bind(lambda _: self.renew())
        self.renew()

    def close(self) -> None:
        """Let go."""
        RESOLVERS.bind(None)
        IN_FORCE.put(None)
        self._ruled, self._rules = {}, ()

    def values(self, name: str) -> Mapping[str, object]:
        """Return the operator's values for a limit that code declared."""
        return self._means.values(name)

    def declared(self, name: str) -> None:
        """Take note that code declared a limit, maybe of a rule's name."""
        if name in self._ruled:
            self.start()  # which calls the rule something else
        else:
            self.renew()

    def renew(self) -> None:
        """Take note that a resolver was declared, or other rules came."""
        IN_FORCE.put(self._make())
        self._means.changed()

    def admission(self) -> Limits | None:
        """Return what requests are asked of; None: nothing is limited."""
        if not self._rules and not _declared():
            return None

        limits = self._make()
        IN_FORCE.put(limits)
        return limits

    def ruled(self) -> list[Limiter]:
        """Return the limits of the operator's rules."""
        return list(self._ruled.values())

    def rules(self) -> tuple[Rule, ...]:
        """Return the operator's rules."""
        return self._rules

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the limits, once everything is declared."""
        for limiter in (*_declared(), *self._ruled.values()):
            for part in limiter.by:
                if part.kind == "resolver" and RESOLVERS.get(part.of) is None:
                    yield (
                        f"limit {limiter.name} is by {part.of}, and no resolver is "
                        f"called so: it limits by address instead; declare "
                        f"svcready.resilience.resolver({part.of!r})"
                    )

    def _make(self) -> Limits:
        options = self._means.options()
        return Limits(self._rules, self.store, self._clock, options, self._exhausted)


def _declared() -> list[Limiter]:
    return [declared.core for declared in LIMITS.things()]
