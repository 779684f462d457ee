"""A naive model of metrics: lists of what was recorded, as each sink would show it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.metrics.received import Amount, Key, Received, nearest_rank

Texts = tuple[str, ...]
OTHER = "__other__"
OVERFLOW = frozenset({("otel.metric.overflow", "true")})
SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
WITHIN = 0.015
_ROUNDING = 1e-8
"""PutMetricData's values have nine digits."""
_TINY = 1e-300


class Metric(NamedTuple):
    """What is declared, and how Prometheus calls it."""

    name: str
    kind: str
    """`counter level histogram`."""
    page: str
    labels: Texts = ()
    workers: str = "sum"


@dataclass
class Model:
    """Everything that was recorded, by metric and label values."""

    metrics: tuple[Metric, ...]
    recorded: dict[str, dict[Texts, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """Amounts of counters, values of histograms, where levels were one by one."""

    def add(self, name: str, labels: Texts, *values: float) -> None:
        """Take note of recordings."""
        self.recorded[name][labels] += values

    def set(self, name: str, labels: Texts, value: float) -> None:
        """Take note of where a level is."""
        self.recorded[name][labels] = [value]

    def take(self, other: Model) -> None:
        """Add what another process counted; its levels go with it."""
        for metric in self.metrics:
            if metric.kind != "level":
                for labels, values in other.recorded[metric.name].items():
                    self.add(metric.name, labels, *values)

    def compare(self, received: Received, spell: Spelling) -> None:
        """Hold what a sink received against what was recorded: no more and no less."""
        for metric in self.metrics:
            expected: dict[Key, list[float]] = defaultdict(list)
            name = spell.name(metric)
            for labels, values in self.recorded[metric.name].items():
                for key in spell.labels(metric, labels):
                    expected[name, key] += values

            found = {key: it for key, it in received.items() if key[0] == name}
            if metric.kind == "level":
                _compare_levels(metric, expected, found)
            elif metric.kind == "counter":
                _compare_counts(expected, found)
            else:
                _compare_values(expected, found)


class Spelling(NamedTuple):
    """How one sink names a metric and its series."""

    name: Callable[[Metric], str]
    labels: Callable[[Metric, Texts], list[frozenset[tuple[str, str]]]]
    """The series to which a recording adds: one, or one for each dimension set."""


def _pairs(metric: Metric, labels: Texts) -> frozenset[tuple[str, str]]:
    return frozenset(zip(metric.labels, labels, strict=True))


def _attributes(metric: Metric, labels: Texts) -> frozenset[tuple[str, str]]:
    if labels and set(labels) == {OTHER}:
        return OVERFLOW

    return frozenset(pair for pair in _pairs(metric, labels) if pair[1])


def _dimension(text: str) -> str:
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)[:1024]
    return plain if plain.strip(" ") else "-"


def _sets(metric: Metric, labels: Texts) -> list[frozenset[tuple[str, str]]]:
    whole = frozenset({("Environment", "production")})
    if not labels:
        return [whole]

    part = {(name, _dimension(text)) for name, text in _pairs(metric, labels)}
    return [whole | part, whole]


PAGE = Spelling(lambda metric: metric.page, lambda *series: [_pairs(*series)])
OTLP = Spelling(lambda metric: metric.name, lambda *series: [_attributes(*series)])
CLOUDWATCH = Spelling(lambda metric: metric.name, _sets)


def near(found: float, recorded: Iterable[float]) -> bool:
    """Tell whether *found* is the sum of what was recorded, up to rounding."""
    values = list(recorded)
    slack = _ROUNDING * math.fsum(map(abs, values)) + _TINY
    return abs(found - math.fsum(values)) <= slack


def _compare_counts(expected: dict[Key, list[float]], found: dict[Key, Amount]) -> None:
    for key in expected.keys() | found.keys():
        total = found.get(key, Amount()).sum
        assert near(total, expected.get(key, [])), (key, total, expected.get(key))


def _compare_values(expected: dict[Key, list[float]], found: dict[Key, Amount]) -> None:
    for key in expected.keys() | found.keys():
        values, amount = expected.get(key, []), found.get(key, Amount())
        assert amount.count == len(values), (key, amount.count, len(values))
        summed = math.isnan(amount.sum) or near(amount.sum, values)
        assert summed, (key, amount.sum, math.fsum(values))
        weighed = amount.buckets or amount.values
        assert weighed.total() == len(values)
        if values and amount.values:
            least, most = min(amount.values), max(amount.values)
            assert math.isclose(least, min(values), rel_tol=1e-12), key
            assert math.isclose(most, max(values), rel_tol=1e-12), key


def _compare_levels(
    metric: Metric, expected: dict[Key, list[float]], found: dict[Key, Amount]
) -> None:
    assert found.keys() >= expected.keys()
    for key, values in expected.items():
        level = values[0]
        if metric.workers == "sum":
            level = math.fsum(values)
        elif metric.workers in {"max", "min"}:
            level = max(values) if metric.workers == "max" else min(values)
        elif len(values) > 1:  # which of several series is the latest?
            continue

        latest = found[key].latest
        assert math.isclose(latest, level, rel_tol=1e-9, abs_tol=1e-9), (key, level)


def compare_buckets(amount: Amount, values: list[float]) -> None:
    """Hold buckets against values: each count, and so where each percentile lies."""
    bounds = sorted(amount.buckets)
    exact = Counter(bounds[bisect_left(bounds, value)] for value in values)
    assert +amount.buckets == exact


def compare_percentiles(amount: Amount, values: list[float]) -> None:
    """Hold the percentiles of what was sent against the exact ones."""
    recorded = Counter(values)
    for share in SHARES:
        exact, shown = nearest_rank(recorded, share), nearest_rank(amount.values, share)
        assert abs(shown - exact) <= WITHIN * abs(exact), (share, shown, exact)
