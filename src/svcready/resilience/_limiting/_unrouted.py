"""Limits on requests that are answered before anything asks whose they are."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, NamedTuple

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

    from svcready._core.clock import Clock
    from svcready.resilience._admitting._gcra import Rate
    from svcready.resilience._limiting._inbound import Inbound, Refusal
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._quota import Quota
    from svcready.resilience._limiting._store import Decision, Left, Want

__all__ = ["Exhausted", "Owing", "Unrouted"]

_ONE_CALLER = {"address", "client", "header", "resolver"}
_LEAST_UNDONE = 300
_NO_GUESS = {304, 502, 503, 504}
_MOST_KEPT = 10_000


class _Spent(NamedTuple):
    """A bucket that has not enough for one more, as it was when that was found."""

    rate: Rate
    """The rate in force."""
    left: Left
    """What is left of it."""
    again_s: float
    """The monotonic time when it has enough."""
    full_s: float
    """The monotonic time when it is whole."""


class Exhausted:
    """
    The buckets that were found used up, so that nobody has to ask the store of them.

    When one has enough for one more request, one is let in, and the next when that has
    got to its route: who makes many at once learns no more than who makes one.

    There is room for 10 000. Whoever has more addresses than that could push each out
    before its turn comes again, and be asked of nobody. So as long as one that was
    pushed out may be used up, it is not `sure`, and the store is asked of every address
    that is not in here: Redis, which has them all, or the memory, whose `Overflow`
    forgets none.

    Args:
        clock: Monotonic time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent: OrderedDict[str, _Spent] = OrderedDict()
        self._unsure_until_s = -inf

    @property
    def sure(self) -> bool:
        """Whether what is not in here is not used up."""
        return self._clock.monotonic() >= self._unsure_until_s

    def __contains__(self, want: Want) -> bool:
        return want.key in self._spent

    def __bool__(self) -> bool:
        return bool(self._spent)

    def took(self, want: Want, left: Left) -> None:
        """Keep how a bucket stands that *want* was asked of, if it is used up."""
        if left.allowed and left.remaining >= want.cost:
            return

        now_s, rate = self._clock.monotonic(), want.rate
        missing_s = left.full_after_s - (rate.burst - want.cost) / rate.per_s
        wait_s = min(max(missing_s, left.retry_after_s), rate.burst / rate.per_s)
        self._keep(want, left, now_s, wait_s)

    def asked(self, want: Want, left: Left) -> None:
        """Keep how a bucket stands that nothing was known of, and let one more in."""
        if left.remaining < want.cost:
            self.took(want, left)
        elif left.remaining < want.rate.burst:
            interval_s = want.cost / want.rate.per_s
            self._keep(want, left, self._clock.monotonic(), interval_s)

    def _keep(self, want: Want, left: Left, now_s: float, wait_s: float) -> None:
        spent = _Spent(want.rate, left, now_s + wait_s, now_s + left.full_after_s)
        self._spent[want.key] = spent
        if len(self._spent) > _MOST_KEPT:
            with suppress(KeyError):  # another thread was faster
                _, gone = self._spent.popitem(last=False)
                self._unsure_until_s = max(self._unsure_until_s, gone.full_s)

    def left(self, want: Want) -> Left | None:
        """Return how a bucket stands that has too little for *want*; else let it in."""
        spent = self._spent.get(want.key)
        if spent is None:
            return None

        now_s = self._clock.monotonic()
        if now_s >= spent.full_s or want.rate != spent.rate:
            self._spent.pop(want.key, None)
            return None

        if now_s >= spent.again_s:
            again_s = now_s + want.cost / want.rate.per_s
            self._spent[want.key] = spent._replace(again_s=again_s)
            return None

        return spent.left._replace(
            allowed=False,
            retry_after_s=spent.again_s - now_s,
            full_after_s=max(0.0, spent.full_s - now_s),
        )

    def passed(self, want: Want) -> None:
        """Let the next one in: the last has got to its route."""
        spent = self._spent.get(want.key)
        if spent is not None:
            self._spent[want.key] = spent._replace(again_s=self._clock.monotonic())


class Unrouted:
    """
    What holds, of the rules that wait for the route, for what never gets there.

    Middleware answers 401 before a resolver is asked, and whoever guesses tokens would
    be under no limit. So such an answer is charged to the address, in a bucket of its
    own at the rule's rate, and who has used that up is refused before any of the
    application runs. Callers whose requests get to their route pay nothing of it.

    The store is asked when an answer is charged. What that told of buckets that are
    used up is kept, so that other requests ask nobody: a process that shares its store
    learns of an address that others refuse by the next answer that it charges.

    Args:
        rules: Those that wait for the route; those that tell no callers apart are
            left out, since strangers could use up what everybody shares.
        exhausted: The addresses' buckets that are used up.
    """

    def __init__(self, rules: Iterable[Rule], exhausted: Exhausted) -> None:
        self._rules = Rules(
            rule
            for rule in rules
            if rule.cost and any(part.kind in _ONE_CALLER for part in rule.limiter.by)
        )
        self.exhausted = exhausted
        """The addresses' buckets that are used up."""

    def enter(self, quota: Quota, request: Inbound) -> Refusal | None:
        """Have *request* owe what these rules take; answer whose address has none."""
        if not self._owes(quota, request):
            return None

        unknown = self._unknown(request)
        if unknown:
            asked = [want._replace(cost=0) for want in unknown]
            self._learn(unknown, quota.limits.take(asked))

        return self._answer(quota, request)

    async def enter_async(self, quota: Quota, request: Inbound) -> Refusal | None:
        """Do as `enter`, on an event loop."""
        if not self._owes(quota, request):
            return None

        unknown = self._unknown(request)
        if unknown:
            asked = [want._replace(cost=0) for want in unknown]
            self._learn(unknown, await quota.limits.take_async(asked))

        return self._answer(quota, request)

    def _owes(self, quota: Quota, request: Inbound) -> bool:
        """Have it owe; return whether any address is known to have none left."""
        # Where there are no routes, all rules hold before one.
        if not self._rules or request.bare_path() is not None:
            return False

        request.owing = Owing(self, quota)
        return bool(self.exhausted)

    def _unknown(self, request: Inbound) -> list[Want]:
        """Return what to ask the store of, for too many are used up to know all."""
        exhausted = self.exhausted
        if exhausted.sure:
            return []

        return [want for _, want in self.asked(request) if want not in exhausted]

    def _learn(self, unknown: Sequence[Want], decision: Decision) -> None:
        if decision.blind:
            return

        for want, left in zip(unknown, decision.left, strict=True):
            self.exhausted.asked(want, left)

    def asked(self, request: Inbound) -> list[tuple[Rule, Want]]:
        """Return the rules that are for *request*, and what each takes by address."""
        key = f"~{address_key(request.client)}"
        return [
            (rule, _apart(rule.limiter.want(key, rule.cost)))
            for rule in self._rules.of(request)
            if rule.limiter.config.mode != "off"
        ]

    def _answer(self, quota: Quota, request: Inbound) -> Refusal | None:
        shares = []
        for rule, want in self.asked(request):
            left = self.exhausted.left(want)
            if left is not None and rule.limiter.config.mode == "enforce":
                shares.append(quota.share(rule.limiter, want, left))
                rule.limiter.settle(allowed=False)
                GAUGE.note("limit", rule.limiter.name, 1.0, quota.limits.clock)

        if not shares:
            return None

        shares = most_constrained_first(shares)
        return refusal(
            429,
            QUOTA_EXCEEDED,
            retry_after_s=retry_after(max(one.left.retry_after_s for one in shares)),
            headers=told_by(shares, quota.limits.options),
            more={"violated-policies": [share.name for share in shares]},
        )


class Owing:
    """
    What a request pays by its address if nobody has asked at its route.

    Requests that are in flight at once were all let through, so their answers can be
    more than the bucket has; it is empty then, and never below.

    Args:
        unrouted: The rules.
        quota: What the request was told; the answer tells of this, too.
    """

    __slots__ = ("_quota", "_unrouted")

    def __init__(self, unrouted: Unrouted, quota: Quota) -> None:
        self._unrouted = unrouted
        self._quota = quota

    def passed(self) -> None:
        """Owe nothing: the request has got to its route."""
        if self._unrouted.exhausted:
            for _, want in self._unrouted.asked(self._quota.request):
                self._unrouted.exhausted.passed(want)

    def pay(self, status: int) -> None:
        """Take it, unless *status* says that the request was served."""
        if _is_undone(status):
            for rule, want in self._unrouted.asked(self._quota.request):
                self._settle(rule, want, self._quota.limits.take([want]))

    async def pay_async(self, status: int) -> None:
        """Do as `pay`, on an event loop."""
        if _is_undone(status):
            for rule, want in self._unrouted.asked(self._quota.request):
                decision = await self._quota.limits.take_async([want])
                self._settle(rule, want, decision)

    def _settle(self, rule: Rule, want: Want, decision: Decision) -> None:
        limiter, (left,) = rule.limiter, decision.left
        if limiter.config.mode != "enforce":
            limiter.settle(allowed=decision.allowed)
            return

        limiter.settle(allowed=True)  # it was let through, whatever is left
        if decision.blind:
            return

        self._unrouted.exhausted.took(want, left)
        told = left._replace(allowed=True)
        self._quota.tell(self._quota.share(limiter, want, told))


def _apart(want: Want) -> Want:
    """Return *want* of a bucket that pushes no caller's out of a store, nor is so."""
    return want._replace(limit=f"{want.limit}~", lasting=True)


def _is_undone(status: int) -> bool:
    """
    Tell whether an answer is what somebody gets who guesses: an error or a redirect.

    Preflights, files and pages from a cache, which middleware answers, too, are none;
    nor is an outage behind it, which is nobody's guess.
    """
    return status >= _LEAST_UNDONE and status not in _NO_GUESS
