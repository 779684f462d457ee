"""X-Ray's central rules: decides by those that were fetched last."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Literal

from svcready._core import fork
from svcready.tracing.sampling._central._refresh import Refresher
from svcready.tracing.sampling._central._state import Turn
from svcready.tracing.sampling._central._table import RuleTable
from svcready.tracing.sampling._layers import UNMATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.worker import Worker
    from svcready._transport.xray_api import SamplingApi
    from svcready.tracing.sampling._central._state import RuleState
    from svcready.tracing.sampling._layers import Unmatched
    from svcready.tracing.sampling._service import Service

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["CentralRules"]

_SOONEST_S = 0.05


class CentralRules:
    """
    Decides by the rules that X-Ray keeps for all services of an account.

    A layer that decides about nothing until they have come, and when they could not be
    fetched for an hour. A decision does no I/O: a thread of its own, which the first
    one starts, fetches and reports.

    Args:
        api: Who is asked.
        service: Rules for others are never matched.
        clock: Drives reservoirs and refreshing.
        worker: Refreshes; for nothing else.
        interval_s: How often rules are fetched.
        quiet: Keeps instrumented clients from making spans inside.
        uniform: Draws from [0, 1).
    """

    def __init__(
        self,
        api: SamplingApi,
        service: Service,
        clock: Clock,
        worker: Worker,
        *,
        interval_s: float,
        quiet: Callable[[], AbstractContextManager[None]],
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._service = service
        self._now = clock.monotonic
        self._quiet = quiet
        self._worker = worker
        self._woken = False
        self._turn = Turn(uniform)
        self._table = RuleTable(service, self._turn, uniform)
        self._refresher = Refresher(
            api,
            self._table,
            clock,
            lambda: self._service.name,
            interval_s=interval_s,
            uniform=lambda low, high: low + (high - low) * uniform(),
        )
        self._decided = threading.local()
        self._job = worker.every(interval_s, self._refresh, name="xray", first_s=0.0)
        fork.reset_in_child(self._after_fork)

    @property
    def client_id(self) -> str:
        """The id of this process at the service, 24 hex digits."""
        return self._refresher.client_id

    @property
    def watching(self) -> bool:
        """Whether a rule may be boosted, so that ends of traces count."""
        return self._table.boosting

    def decide(
        self, method: str, path: str, describe: Describe
    ) -> str | Literal[Unmatched.UNMATCHED] | None:
        """
        Decide about a trace that begins here.

        Args:
            method: The request's; empty for what is no request.
            path: As received, before any routing; `/` for what is no request.
            describe: Gives the span's first attributes; called only if a rule looks
                at host or attributes.

        Returns:
            The name of the rule by which it is sampled; None if it is not;
            `UNMATCHED` while there are no rules.
        """
        if not self._woken:
            self._woken = True
            self._worker.wake()

        now_s = self._now()
        table = self._table
        match, until_s = table.in_force
        if now_s > until_s:
            return UNMATCHED

        state = match(method, path, describe)
        if state is None:
            return UNMATCHED

        if table.boosting:
            boosted = state.rule.boost_max_rate is not None
            self._decided.by = state if boosted else None

        return state.name if state.take(now_s) else None

    def watched(self) -> RuleState | None:
        """
        Return the rule of this thread's last decision, if it may be boosted; once.

        Its `ended` is told how the trace ended.
        """
        state: RuleState | None = getattr(self._decided, "by", None)
        self._decided.by = None
        return state

    def share(self, workers: int) -> None:
        """Borrow only each so manieth second: so many processes do."""
        self._turn.share(workers)

    def serve(self, service: Service) -> None:
        """Match for another *service*, which a look-up has found this to be."""
        if service != self._service:
            self._service = service
            self._table.serve(service)

    def close(self, timeout_s: float) -> None:
        """Refresh no more; what was not reported yet nobody is told."""
        self._worker.stop(timeout_s)

    def describe(self) -> str:
        """Say who is asked, which rules are in force, and what went wrong last."""
        fetched_s, now_s = self._refresher.fetched_s, self._now()
        rules = len(self._table.live)
        if fetched_s is None:
            state = "no rules yet"
        elif now_s > self._table.in_force.until_s:
            state = f"{rules} rules, {now_s - fetched_s:.0f} s old, too old to be used"
        else:
            state = f"{rules} rules, {now_s - fetched_s:.0f} s old"

        error = self._refresher.last_error
        return f"{self._api.name} ({state}{'; ' if error else ''}{error})"

    def _refresh(self) -> None:
        self._job.interval_s = _SOONEST_S
        with self._quiet():
            self._job.interval_s = max(_SOONEST_S, self._refresher.run())

    def _after_fork(self) -> None:
        self._woken = False
        self._decided = threading.local()
        self._table.begin_anew()
        self._refresher.begin_anew()
