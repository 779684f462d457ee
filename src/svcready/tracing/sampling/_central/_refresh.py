"""Keeps X-Ray's rules and targets fresh, and reports what was decided by them."""

from __future__ import annotations

import logging
import math
import secrets
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

from svcready._core.events import DestinationNoted, ItemsDropped, publish
from svcready._transport.xray_api import MOST_DOCUMENTS, XrayApiError
from svcready.config._sampling_rules import MOST_RULES
from svcready.tracing.sampling._central._documents import (
    GarbageError,
    read_rules,
    read_targets,
)
from svcready.tracing.sampling._central._service_time import ServiceTime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready._core.clock import Clock
    from svcready._transport.xray_api import SamplingApi
    from svcready.config._sampling_rules import SamplingRule
    from svcready.tracing.sampling._central._documents import Target, Targets
    from svcready.tracing.sampling._central._state import (
        BoostCounts,
        Counts,
        RuleState,
    )
    from svcready.tracing.sampling._central._table import RuleTable

__all__ = ["COMPONENT", "Refresher"]

T = TypeVar("T")

_log = logging.getLogger("svcready.tracing")
COMPONENT = "tracing.sampling"
_REPORT_S = 10.0
_REPORT_JITTER_S = 0.1
_RULES_JITTER_S = 5.0
_RETRY_S = 10.0
_MOST_DOUBLINGS = 10
_EXPIRE_S = 3600.0
_MOST_PAGES = 100
_LONGEST_S = 3600.0
"""How long a quota or boost can be good: theirs are minutes, more is a wrong clock."""


class Refresher:
    """
    Fetches rules, reports statistics and puts targets in force; on one thread.

    Args:
        api: Who is asked.
        table: Where rules and targets are put.
        clock: Ours.
        service: Returns the service's name, for what is reported about anomalies.
        interval_s: How often rules are fetched.
        uniform: Draws the jitter between two bounds.
        new_id: Makes a client's id, 24 hex digits.
    """

    def __init__(
        self,
        api: SamplingApi,
        table: RuleTable,
        clock: Clock,
        service: Callable[[], str],
        *,
        interval_s: float,
        uniform: Callable[[float, float], float],
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._api = api
        self._table = table
        self._now = clock.monotonic
        self._service = service
        self._interval_s = interval_s
        self._uniform = uniform
        self._new_id = new_id
        self._time = ServiceTime(clock)
        self._expire_s = max(_EXPIRE_S, 2 * interval_s)
        self._rules_due_s = -math.inf
        self._report_due_s = self._now() + self._report_wait(_REPORT_S)
        self._failures = 0
        self._fetched_epoch_s = 0.0
        self._seen_modified_s = -math.inf
        self.client_id = new_id()
        self.fetched_s: float | None = None
        """When rules were last fetched, on the monotonic clock."""
        self.last_error = ""
        self._failing = False
        self._left_out = ""
        """What went wrong last; empty once all is well again."""

    def run(self) -> float:
        """
        Do what is due.

        Returns:
            In how many seconds something is due again.
        """
        now_s = self._now()
        if now_s >= self._rules_due_s:
            self._fetch(now_s)

        if now_s >= self._report_due_s:
            self._report_due_s = now_s + self._report_wait(_REPORT_S)
            self._report(now_s)

        return max(0.0, min(self._rules_due_s, self._report_due_s) - self._now())

    def begin_anew(self) -> None:
        """Be a client of its own in a forked child."""
        self._api.forget()
        self.client_id = self._new_id()
        self._report_due_s = self._now() + self._report_wait(_REPORT_S)
        # All workers of a server are forked at once, and must not ask at once.
        self._rules_due_s += self._uniform(0.0, _RULES_JITTER_S)

    def _report_wait(self, interval_s: float) -> float:
        return interval_s + self._uniform(0.0, _REPORT_JITTER_S)

    def _fetch(self, now_s: float) -> None:
        # First for the worst, so that no fault can make this a busy loop.
        wait_s = min(self._interval_s, _RETRY_S * 2.0**self._failures)
        self._rules_due_s = now_s + wait_s + self._uniform(0.0, 1.0)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        try:
            rules, left_out, asked_s = self._all_pages()
        except (XrayApiError, GarbageError) as error:
            self._failed(f"no sampling rules: {error}")
            return

        now_s = self._now()
        lost = self._table.replace(rules, now_s + self._expire_s)
        self._drop("rule_removed", lost)
        self._rules_due_s = (
            now_s + self._interval_s + self._uniform(0.0, _RULES_JITTER_S)
        )
        self._failures = 0
        self._fetched_epoch_s = asked_s
        is_news = self._failing or self.fetched_s is None
        self.fetched_s = now_s
        self._succeeded()
        if is_news:  # the start line knew of none, or a warning said that none came
            _log.info("%s: sampling rules in force: %d", self._api.name, len(rules))

        if left_out:
            self.last_error = left_out
            if left_out != self._left_out:
                publish(DestinationNoted(COMPONENT, self._api.name, self.last_error))

        self._left_out = left_out

    def _all_pages(self) -> tuple[list[SamplingRule], str, float]:
        rules: list[SamplingRule] = []
        left_out = found = 0
        token = ""
        seen: set[str] = set()
        asked_s = 0.0
        while len(seen) < _MOST_PAGES:
            answer = self._api.rules(token)
            self._time.learn(answer.date_s)
            asked_s = asked_s or self._time.epoch()
            page, wrong, token = read_rules(answer.body)
            found += len(page)
            rules = sorted((*rules, *page), key=lambda it: it.priority)[:MOST_RULES]
            left_out += wrong
            if not token:
                if not rules:  # there is always the rule Default
                    raise GarbageError("an answer without a rule")

                return rules, _left_out(left_out, found - len(rules)), asked_s

            if token in seen:
                raise GarbageError("pages without end")

            seen.add(token)

        raise GarbageError("pages without end")

    def _report(self, now_s: float) -> None:
        self._table.forget_reported()
        states = (*self._table.retired.values(), *self._table.live.values())
        counted = [(it, it.pending()) for it in states if it.pending().requests]
        ended = [(it, it.pending_boost()) for it in states if it.pending_boost().traces]
        modified_s = -math.inf
        intervals: list[float] = []
        wrong = ""
        for some, some_ended in zip_longest(
            _chunks(counted), _chunks(ended), fillvalue=()
        ):
            try:
                targets = self._send(some, some_ended)
            except (XrayApiError, GarbageError) as error:
                wrong = str(error)
                if isinstance(error, XrayApiError) and not error.answered:
                    break  # nobody is there: what is left is reported later

                continue

            wrong = self._settle(some, some_ended, targets) or wrong
            self._apply(targets.targets)
            modified_s = max(modified_s, targets.modified_s or -math.inf)
            intervals += [t.interval_s for t in targets.targets if t.interval_s]

        if wrong:
            self._failed(f"no sampling targets: {wrong}")
        elif counted and self.last_error.startswith("no sampling targets"):
            self._succeeded()

        if intervals:
            self._report_due_s = now_s + self._report_wait(min(intervals))

        if self._is_news(modified_s):
            self._fetch(self._now())
            if not self._failures:
                self._seen_modified_s = modified_s

    def _send(
        self,
        counted: Sequence[tuple[RuleState, Counts]],
        ended: Sequence[tuple[RuleState, BoostCounts]],
    ) -> Targets:
        stamp = int(self._time.epoch())
        statistics = [
            {
                "RuleName": state.name,
                "ClientID": self.client_id,
                "Timestamp": stamp,
                "RequestCount": counts.requests,
                "SampledCount": counts.sampled,
                "BorrowCount": counts.borrowed,
            }
            for state, counts in counted
        ]
        boosts = [
            {
                "RuleName": state.name,
                "ServiceName": self._service()[:64],
                "Timestamp": stamp,
                "AnomalyCount": counts.anomalies,
                "TotalCount": counts.traces,
                "SampledAnomalyCount": counts.sampled_anomalies,
            }
            for state, counts in ended
        ]
        answer = self._api.targets(statistics, boosts)
        self._time.learn(answer.date_s)
        return read_targets(answer.body)

    def _settle(
        self,
        counted: Sequence[tuple[RuleState, Counts]],
        ended: Sequence[tuple[RuleState, BoostCounts]],
        targets: Targets,
    ) -> str:
        """Take note of what arrived; what was not taken is reported again."""
        retired = self._table.retired
        for state, counts in counted:
            refused = state.name in targets.unprocessed
            if not refused or state.name in retired:
                state.reported(counts)
                # Of a rule that is no more, nobody wants them any more.
                self._drop("rule_removed", counts.requests if refused else 0)

        for state, ends in ended:
            if state.name not in targets.unprocessed_boosts or state.name in retired:
                state.reported_boost(ends)

        said = {**targets.unprocessed_boosts, **targets.unprocessed}
        wrong = next((f"{name}: {text}" for name, text in said.items()), "")
        return wrong or ("a target that is none" if targets.wrong else "")

    def _apply(self, targets: Sequence[Target]) -> None:
        now_s = self._now()
        for target in targets:
            state = self._table.live.get(target.name)
            if state is None:
                continue

            if target.rate is not None:
                state.rate = target.rate

            if target.quota is not None and target.quota_until_s is not None:
                left_s = self._time.left_s(target.quota_until_s)
                state.set_quota(target.quota, now_s + min(left_s, _LONGEST_S))

            if target.boost_rate is not None and target.boost_until_s is not None:
                left_s = self._time.left_s(target.boost_until_s)
                state.set_boost(target.boost_rate, now_s + min(left_s, _LONGEST_S))

    def _is_news(self, modified_s: float) -> bool:
        # The service's stamps may have whole seconds: one in the second of the fetch
        # can be of before or after it.
        return modified_s > self._seen_modified_s and modified_s >= math.floor(
            self._fetched_epoch_s
        )

    def _succeeded(self) -> None:
        self.last_error = ""
        self._failing = False

    def _failed(self, reason: str) -> None:
        first = not self._failing
        self._failing = True
        self.last_error = reason
        if first:  # once until it is mended
            in_force = self._now() <= self._table.in_force.until_s
            kept = "those there are stay" if in_force else "1/s+5% is"
            notice = f"{reason}; {kept} in force"
            publish(DestinationNoted(COMPONENT, self._api.name, notice))

    def _drop(self, reason: str, requests: int) -> None:
        if requests:
            publish(ItemsDropped(COMPONENT, reason, requests))


def _left_out(wrong: int, late: int) -> str:
    said = [f"{wrong} sampling rules are not understood"] if wrong else []
    if late:
        said.append(f"{late} sampling rules beyond the first {MOST_RULES} are not used")

    return ", ".join(said)


def _chunks(items: Sequence[T]) -> list[Sequence[T]]:
    step = MOST_DOCUMENTS
    return [items[at : at + step] for at in range(0, len(items), step)]
