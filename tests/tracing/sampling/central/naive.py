"""A written-out model of one process that samples by X-Ray's rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_S = 3600.0


@dataclass
class Known:
    """What the process knows of one rule."""

    given: Mapping[str, Any]
    rate: float
    quota: int = 0
    quota_until_s: float = -1.0
    """By the service's time."""
    boost: float = 0.0
    boost_until_s: float = -1.0
    taken: Counter[int] = field(default_factory=Counter)
    """How many of the quota in each second."""
    borrowed_in: set[int] = field(default_factory=set)
    pending: Counter[str] = field(default_factory=Counter)


@dataclass
class Process:
    """
    One process, told what the service answered to it and when.

    Time is the service's, in seconds since the epoch; its whole seconds are those of
    the monotonic clock.
    """

    rules: dict[str, Known] = field(default_factory=dict)
    gone: dict[str, Counter[str]] = field(default_factory=dict)
    fetched_s: float = float("-inf")
    fallback_from_s: float = float("-inf")

    def decide(self, path: str, now_s: float, drawn: float) -> str | None:
        """Return which rule samples a request, if one does."""
        second = int(now_s)
        found = self._match(path)
        if found is None or now_s > self.fetched_s + HOUR_S:
            if now_s >= self.fallback_from_s:
                self.fallback_from_s = now_s + 1.0
                return ""

            return "" if drawn < 0.05 else None

        name = str(found.given["RuleName"])
        found.pending["RequestCount"] += 1
        if self._is_sampled(found, now_s, second, drawn):
            found.pending["SampledCount"] += 1
            return name

        return None

    def _is_sampled(
        self, found: Known, now_s: float, second: int, drawn: float
    ) -> bool:
        if found.quota_until_s >= now_s:
            if found.taken[second] < found.quota:
                found.taken[second] += 1
                return True
        elif found.given["ReservoirSize"] > 0 and second not in found.borrowed_in:
            found.borrowed_in.add(second)
            found.pending["BorrowCount"] += 1
            return True

        boosted = found.boost_until_s >= now_s
        return drawn < (found.boost if boosted else found.rate)

    def fetched(self, rules: Mapping[str, Mapping[str, Any]], now_s: float) -> None:
        """Learn all rules."""
        before, self.rules = self.rules, {}
        for name, given in rules.items():
            known = before.pop(name, None)
            if known is None:
                pending = self.gone.pop(name, Counter())
                known = Known(given, given["FixedRate"], pending=pending)

            if known.given["FixedRate"] != given["FixedRate"]:
                known.rate = given["FixedRate"]

            if not given["ReservoirSize"]:
                known.quota_until_s = -1.0

            known.given = dict(given)
            self.rules[name] = known

        for name, known in before.items():
            self.gone[name] = known.pending

        self.fetched_s = now_s

    def expected(self) -> dict[str, Counter[str]]:
        """Return what the next report has to say."""
        pending = {name: known.pending for name, known in self.rules.items()}
        return {
            name: counts
            for name, counts in {**pending, **self.gone}.items()
            if counts["RequestCount"]
        }

    def reported(
        self, answer: Mapping[str, Any], names: set[str], late_s: float
    ) -> None:
        """
        Learn what was answered to a report.

        Args:
            answer: The body.
            names: Of the rules that were reported.
            late_s: By how much the process takes the service's clock to be behind.
        """
        refused = {it["RuleName"] for it in answer["UnprocessedStatistics"]}
        for name in names:
            if name in self.gone:
                del self.gone[name]
            elif name not in refused:
                self.rules[name].pending.clear()

        for target in answer["SamplingTargetDocuments"]:
            known = self.rules.get(target["RuleName"])
            if known is None:
                continue

            known.rate = target["FixedRate"]
            if "ReservoirQuota" in target:
                known.quota = target["ReservoirQuota"]
                known.quota_until_s = target["ReservoirQuotaTTL"] + late_s

    def forked(self) -> None:
        """Become a child: quota and counts are the parent's."""
        self.gone.clear()
        for known in self.rules.values():
            known.quota_until_s = -1.0
            known.pending.clear()

    def _match(self, path: str) -> Known | None:
        for _, known in sorted(
            self.rules.items(), key=lambda it: (it[1].given["Priority"], it[0])
        ):
            if known.given["URLPath"] in {"*", path}:
                return known

        return None
