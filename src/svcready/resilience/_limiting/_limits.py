"""The limits on inbound requests: an admission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready.resilience._limiting._inbound_means import FieldOptions
from svcready.resilience._limiting._limit_rules import Rules, waits_for_route
from svcready.resilience._limiting._quota import Quota
from svcready.resilience._limiting._store import MemoryStore, folded, spread
from svcready.resilience._limiting._unrouted import Exhausted, Unrouted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready._core.clock import Clock
    from svcready.resilience._limiting._inbound import Inbound, Refusal
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._store import Decision, Store, Want

__all__ = ["Limits"]


class Limits:
    """
    Admits requests that every limit has room for.

    What one stage asks is decided at once: before the route what goes by address and
    header, at the route what needs a resolver or the route itself. A refusal gives
    back what an earlier stage took.

    Args:
        rules: The operator's.
        store: Where the buckets are.
        clock: Monotonic time.
        options: What responses say.
        exhausted: Addresses that have used up what they may; None: none is known.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        store: Store,
        clock: Clock,
        options: FieldOptions = FieldOptions(),  # noqa: B008 - frozen
        exhausted: Exhausted | None = None,
    ) -> None:
        rules = tuple(rules)
        late = [rule for rule in rules if waits_for_route(rule.limiter.by)]
        self._all = Rules(rules)
        self._early = Rules(rule for rule in rules if rule not in late)
        self._unrouted = Unrouted(
            late, Exhausted(clock) if exhausted is None else exhausted
        )
        self._store = store
        self._spare = MemoryStore(clock)
        self.clock = clock
        self.options = options

    waits = True

    def enter(self, request: Inbound) -> Quota | Refusal:
        """Decide by what is known before the route."""
        quota = Quota(self, request)
        answer = self._unrouted.enter(quota, request)
        if answer is not None:
            return answer

        quota.asked = self._before_route(request)
        return quota.check(quota.asked) or quota

    async def enter_async(self, request: Inbound) -> Quota | Refusal:
        """Do as `enter`, on an event loop."""
        quota = Quota(self, request)
        answer = await self._unrouted.enter_async(quota, request)
        if answer is not None:
            return answer

        quota.asked = rules = self._before_route(request)
        return (await quota.check_async(rules) if rules else None) or quota

    def at_route(
        self, request: Inbound, asked: Sequence[Rule] = ()
    ) -> tuple[Rule, ...]:
        """
        Return the rules that are for *request* now that it has got to its route.

        Middleware may have given it another path than it came with, so they are all
        looked for again.

        Args:
            request: The request.
            asked: Which were asked before.
        """
        rules = self._all.of(request)
        return tuple(rule for rule in rules if rule not in asked) if asked else rules

    def take(self, wants: Sequence[Want]) -> Decision:
        """Take of the store, or of one of this process's own if that has a fault."""
        try:
            return spread(wants, self._store.take(folded(wants)))
        except Exception as error:  # noqa: BLE001 - what is limited stays limited
            report_fault("limits.store", error)
            return spread(wants, self._spare.take(folded(wants)))

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Do as `take`, on an event loop."""
        try:
            return spread(wants, await self._store.take_async(folded(wants)))
        except Exception as error:  # noqa: BLE001 - what is limited stays limited
            report_fault("limits.store", error)
            return spread(wants, self._spare.take(folded(wants)))

    def _before_route(self, request: Inbound) -> tuple[Rule, ...]:
        # Where nothing declares routes no stage comes later.
        rules = self._early if request.bare_path() is None else self._all
        return rules.of(request)
