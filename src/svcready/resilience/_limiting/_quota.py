"""What one request was told by its limits, and what its response tells of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from svcready._core.guard import report_foreign
from svcready.resilience._limiting._fields_draft11 import (
    Share,
    most_constrained_first,
    told_by,
)
from svcready.resilience._limiting._limit_keys import keep
from svcready.resilience._limiting._limiter import key_of
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._limiting._problem import (
    QUOTA_EXCEEDED,
    REDUCED_CAPACITY,
    refusal,
    retry_after,
)
from svcready.resilience._limiting._resolvers import RESOLVERS, resolve, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.resilience._limiting._inbound import Inbound, Refusal
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._limiter import Limiter
    from svcready.resilience._limiting._limits import Limits
    from svcready.resilience._limiting._store import Decision, Left, Want

__all__ = ["Quota"]


class Quota:
    """
    What one request was told by its limits; belongs to the request.

    Args:
        limits: Who tells.
        request: The request.
    """

    __slots__ = (
        "_routed",
        "_shares",
        "_taken",
        "asked",
        "level",
        "limits",
        "request",
        "wait_s",
    )

    late = True

    def __init__(self, limits: Limits, request: Inbound) -> None:
        self.limits = limits
        self.request = request
        self._routed = False
        self._shares: dict[str, Share] = {}
        self._taken: list[Want] = []
        self.asked: tuple[Rule, ...] = ()
        """The rules that were asked before the route."""
        self.level = 0.0
        """How much is used of the limit that is used most, from 0 to 1."""
        self.wait_s = 0.0
        """How long until what was refused can succeed, in seconds."""

    def headers(self) -> Sequence[tuple[str, str]]:
        """Return the fields that tell of the limits."""
        if not self._shares:
            return ()

        shares = most_constrained_first(self._shares.values())
        return told_by(shares, self.limits.options)

    def share(self, limiter: Limiter, want: Want, left: Left) -> Share:
        """Return how the request's caller stands with a limit."""
        pk = self._partition(want.key)
        return Share(limiter.name, want.rate, left, pk, want.key)

    def tell(self, share: Share) -> None:
        """Have the response tell of *share*, too."""
        self._shares[share.key] = share

    def left(
        self,
        status: int,
        error: BaseException | None,
        duration_s: float,
        *,
        streamed: bool,
    ) -> None:
        """Do nothing: what was taken was taken."""

    def streams(self) -> None:
        """Do nothing: what was taken was taken."""

    pause = resume = readmit = streams

    def dropped(self) -> None:
        """Give back what was taken."""
        if self._taken:
            self.limits.take(self._returned())

    def at_route(self) -> Refusal | None:
        """Decide by what the route and the resolvers tell; once."""
        rules = self._rules_at_route()
        return self.check(rules) if rules else None

    async def at_route_async(self) -> Refusal | None:
        """Do as `at_route`, on an event loop."""
        rules = self._rules_at_route()
        return await self.check_async(rules) if rules else None

    def spend(self) -> None:
        """Give back nothing of what was taken so far: the application has begun."""
        self._taken = []

    def check(self, rules: Sequence[Rule]) -> Refusal | None:
        """Return the answer if one of *rules* refuses the request."""
        told: dict[str, str] = {}
        for name in _asked(rules):
            keep(told, name, self._resolve(name))

        enforced, observed = self._wants(rules, told)
        if enforced:
            decision = self.limits.take([want for _, want in enforced])
            answer = self._settle(enforced, decision)
            if answer is not None:
                self.dropped()
                return answer

        for rule, want in observed:
            rule.limiter.settle(allowed=self.limits.take([want]).allowed)

        return None

    async def check_async(self, rules: Sequence[Rule]) -> Refusal | None:
        """Do as `check`, on an event loop."""
        told: dict[str, str] = {}
        for name in _asked(rules):
            keep(told, name, await self._resolve_async(name))

        limits = self.limits
        enforced, observed = self._wants(rules, told)
        if enforced:
            decision = await limits.take_async([want for _, want in enforced])
            answer = self._settle(enforced, decision)
            if answer is not None:
                if self._taken:
                    await limits.take_async(self._returned())

                return answer

        for rule, want in observed:
            decision = await limits.take_async([want])
            rule.limiter.settle(allowed=decision.allowed)

        return None

    def _rules_at_route(self) -> tuple[Rule, ...]:
        if self._routed:  # an application inside another comes here again
            return ()

        self._routed = True
        owed, self.request.owing = self.request.owing, None
        if owed is not None:
            owed.passed()

        return self.limits.at_route(self.request, self.asked)

    def _wants(
        self, rules: Sequence[Rule], told: dict[str, str]
    ) -> tuple[list[tuple[Rule, Want]], list[tuple[Rule, Want]]]:
        enforced: list[tuple[Rule, Want]] = []
        observed: list[tuple[Rule, Want]] = []
        for rule in rules:
            limiter = rule.limiter
            mode = limiter.config.mode
            if mode == "off":
                continue

            key = key_of(self.request, limiter.by, told)
            into = enforced if mode == "enforce" else observed
            into.append((rule, limiter.want(key, rule.cost)))

        return enforced, observed

    def _settle(
        self, asked: Sequence[tuple[Rule, Want]], decision: Decision
    ) -> Refusal | None:
        """Count, tell of pressure, and return the answer if there was not enough."""
        if decision.blind:
            return self._settle_blind(asked, decision)

        shares = []
        clock = self.limits.clock
        for (rule, want), left in zip(asked, decision.left, strict=True):
            limiter = rule.limiter
            shares.append(self.share(limiter, want, left))
            if decision.allowed or not left.allowed:
                limiter.settle(allowed=left.allowed)

            level = 1.0 - left.remaining / want.rate.burst if left.allowed else 1.0
            self.level = max(self.level, level)
            GAUGE.note("limit", limiter.name, level, clock)

        if decision.allowed:
            self._taken += [want for _, want in asked]
            self._shares |= {share.key: share for share in shares}
            return None

        known = (_returned(share, self._taken) for share in self._shares.values())
        self._shares = {share.key: share for share in (*known, *shares)}
        violated = [share for share in shares if not share.left.allowed]
        self.wait_s = max(share.left.retry_after_s for share in violated)
        return refusal(
            429,
            QUOTA_EXCEEDED,
            retry_after_s=retry_after(self.wait_s),
            headers=self.headers(),
            more={"violated-policies": [share.name for share in violated]},
        )

    def _settle_blind(
        self, asked: Sequence[tuple[Rule, Want]], decision: Decision
    ) -> Refusal | None:
        """Count what was decided without the store: nobody's quota is known."""
        for rule, _ in asked:
            rule.limiter.settle(allowed=decision.allowed)

        if decision.allowed:
            return None

        self.wait_s = max(left.retry_after_s for left in decision.left)
        wait_s = retry_after(self.wait_s)
        return refusal(503, REDUCED_CAPACITY, retry_after_s=wait_s)

    def _returned(self) -> list[Want]:
        """Return what to want of a store to give back all that was taken, once."""
        taken, self._taken = self._taken, []
        return [want._replace(cost=-want.cost) for want in taken]

    def _resolve(self, name: str) -> object:
        found = resolve(name, self.request.native())
        if not inspect.isawaitable(found):
            return found

        return wait_for(self.request, name, found)

    async def _resolve_async(self, name: str) -> object:
        try:
            found = resolve(name, self.request.native())
            return await found if inspect.isawaitable(found) else found
        except Exception as error:  # noqa: BLE001 - it goes by address
            report_foreign("limits.resolver", error)
            return None

    def _partition(self, key: str) -> str:
        if not self.limits.options.partition:
            return ""

        from base64 import b64encode

        from svcready.resilience._limiting._limit_keys import digest

        return b64encode(bytes.fromhex(digest((key,)))).decode()


def _returned(share: Share, taken: Sequence[Want]) -> Share:
    """Return how a caller stands once what was *taken* has been given back."""
    rate, left = share.rate, share.left
    cost = sum(want.cost for want in taken if want.key == share.key)
    left = left._replace(
        remaining=min(rate.burst, left.remaining + cost),
        full_after_s=max(0.0, left.full_after_s - cost / rate.per_s),
    )
    return share._replace(left=left)


def _asked(rules: Iterable[Rule]) -> list[str]:
    """Return the resolvers that *rules* ask and that there are, each once."""
    parts = (part for rule in rules for part in rule.limiter.by)
    names = (part.of for part in parts if part.kind in {"resolver", "client"})
    return [name for name in dict.fromkeys(names) if RESOLVERS.get(name)]
