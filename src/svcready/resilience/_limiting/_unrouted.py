"""Limits on requests that are answered before anything asks whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._limiting._fields_draft11 import (
    most_constrained_first,
    told_by,
)
from svcready.resilience._limiting._limit_keys import address_key
from svcready.resilience._limiting._limit_rules import Rules
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._limiting._problem import QUOTA_EXCEEDED, refusal, retry_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.resilience._limiting._inbound import Inbound, Refusal
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._limits import Limits
    from svcready.resilience._limiting._quota import Quota
    from svcready.resilience._limiting._store import Decision, Left, Want

__all__ = ["Owing", "Peek", "Unrouted"]

_ONE_CALLER = {"address", "client", "header", "resolver"}
_LEAST_UNDONE = 300
_NOT_MODIFIED = 304


class Unrouted:
    """
    What holds, of the rules that wait for the route, for what never gets there.

    Middleware answers 401 before a resolver is asked, and whoever guesses tokens would
    be under no limit. So such an answer is charged to the address, in a bucket of its
    own at the rule's rate, and who has used that up is refused before any of the
    application runs. Callers whose requests get to their route pay nothing of it.

    Args:
        rules: Those that wait for the route; those that tell no callers apart are
            left out, since strangers could use up what everybody shares.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = Rules(
            rule
            for rule in rules
            if rule.cost and any(part.kind in _ONE_CALLER for part in rule.limiter.by)
        )

    def __bool__(self) -> bool:
        return bool(self._rules)

    def peek(self, limits: Limits, quota: Quota, request: Inbound) -> Peek | None:
        """Have *request* owe what these rules take; return what to ask at once."""
        if request.bare_path() is not None:  # all rules hold before its route
            return None

        asked = []
        for rule in self._rules.of(request):
            if rule.limiter.config.mode != "off":
                key = f"~{address_key(request.client)}"
                asked.append((rule, rule.limiter.want(key, rule.cost)))

        if not asked:
            return None

        request.owing = Owing(limits, quota, asked)
        enforced = [
            (rule, want)
            for rule, want in asked
            if rule.limiter.config.mode == "enforce"
        ]
        return Peek(limits, quota, enforced) if enforced else None


class Peek:
    """
    Asks, taking nothing, whether an address has used up what it may.

    Args:
        limits: Who asks.
        quota: What the request is told.
        asked: The rules, and what each would take.
    """

    __slots__ = ("_asked", "_limits", "_quota", "wants")

    def __init__(
        self, limits: Limits, quota: Quota, asked: Sequence[tuple[Rule, Want]]
    ) -> None:
        self._limits = limits
        self._quota = quota
        self._asked = asked
        self.wants = [want._replace(cost=0) for _, want in asked]
        """What to ask of the store."""

    def settle(self, decision: Decision) -> Refusal | None:
        """Return the answer if the address has; count it then."""
        shares = []
        for (rule, want), left in zip(self._asked, decision.left, strict=True):
            if not left.allowed or left.remaining < want.cost:
                spent = _spent(want, left)
                shares.append(self._quota.share(rule.limiter, want, spent))
                rule.limiter.settle(allowed=False)
                GAUGE.note("limit", rule.limiter.name, 1.0, self._limits.clock)

        if not shares:
            return None

        shares = most_constrained_first(shares)
        return refusal(
            429,
            QUOTA_EXCEEDED,
            retry_after_s=retry_after(max(one.left.retry_after_s for one in shares)),
            headers=told_by(shares, self._limits.options),
            more={"violated-policies": [share.name for share in shares]},
        )


class Owing:
    """
    What a request pays by its address if nobody has asked at its route.

    Requests that are in flight at once were all let through, so their answers can be
    more than the bucket has; it is empty then, and never below.

    Args:
        limits: Who takes.
        quota: What the request was told; the answer tells of this, too.
        asked: The rules, and what each takes.
    """

    __slots__ = ("_asked", "_limits", "_quota")

    def __init__(
        self, limits: Limits, quota: Quota, asked: Sequence[tuple[Rule, Want]]
    ) -> None:
        self._limits = limits
        self._quota = quota
        self._asked = asked

    def pay(self, status: int) -> None:
        """Take it, unless *status* says that the request was served."""
        if _is_undone(status):
            for rule, want in self._asked:
                self._settle(rule, want, self._limits.take([want]))

    async def pay_async(self, status: int) -> None:
        """Do as `pay`, on an event loop."""
        if _is_undone(status):
            for rule, want in self._asked:
                self._settle(rule, want, await self._limits.take_async([want]))

    def _settle(self, rule: Rule, want: Want, decision: Decision) -> None:
        limiter = rule.limiter
        if limiter.config.mode == "enforce":
            limiter.settle(allowed=True)  # it was let through, whatever is left
            left = decision.left[0]._replace(allowed=True)
            self._quota.tell(self._quota.share(limiter, want, left))
        else:
            limiter.settle(allowed=decision.allowed)


def _is_undone(status: int) -> bool:
    """
    Tell whether an answer is what somebody gets who guesses: an error or a redirect.

    Preflights, files and pages from a cache, which middleware answers, too, are none.
    """
    return status >= _LEAST_UNDONE and status != _NOT_MODIFIED


def _spent(want: Want, left: Left) -> Left:
    """Return how a bucket stands that was asked for nothing and is short of *want*."""
    rate = want.rate
    wait_s = left.full_after_s - (rate.burst - want.cost) / rate.per_s
    return left._replace(allowed=False, retry_after_s=max(wait_s, left.retry_after_s))
