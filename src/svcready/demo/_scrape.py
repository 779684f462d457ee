"""A scrape of `/metrics`, read as Prometheus reads it."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from svcready.demo._findings import Route

__all__ = ["Scrape"]

_DURATION = "http_server_request_duration_seconds"
_EXCERPT = (
    (re.compile(r"# TYPE http_server_request_duration_seconds "), 1),
    (re.compile(r'http_server_\w+_bucket\{.*"201",http_route="/orders".*le="0.05"'), 1),
    (re.compile(r'http_server_\w+_count\{.*"201",http_route="/orders"'), 1),
    (re.compile(r"# TYPE orders_accepted_total "), 1),
    (re.compile(r"orders_accepted_total\{"), 2),
    (re.compile(r"payment_time_seconds_(count|sum)"), 2),
    (re.compile(r"svcready_resilience_state\{"), 1),
    (re.compile(r"svcready_resilience_transitions_total\{.*probes_passed"), 1),
    (re.compile(r"svcready_health_status\{"), 2),
    (re.compile(r"process_cpu_seconds_total"), 1),
)
"""What an excerpt shows: what lines match, and how many of each."""


class _Series(NamedTuple):
    labels: Mapping[str, str]
    value: float


class Scrape:
    """
    One answer of `/metrics`.

    Args:
        text: Its body, in Prometheus's text format.

    Raises:
        ValueError: It is not in that format.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._samples: defaultdict[str, list[_Series]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series = _Series(sample.labels, float(sample.value))
                self._samples[sample.name].append(series)

    def total(self, name: str) -> float:
        """Return the sum of all series of the sample *name*; 0 if there are none."""
        return sum(series.value for series in self._samples.get(name, ()))

    def routes(self, seconds: float) -> list[Route]:
        """
        Return what the HTTP server metrics say of each route, the busiest first.

        Args:
            seconds: How long they were counted, for the rates.
        """
        statuses: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for labels, value in self._samples.get(f"{_DURATION}_count", ()):
            seen = statuses[labels["http_request_method"], labels["http_route"]]
            status = labels["http_response_status_code"]
            seen[status] = seen.get(status, 0) + int(value)

        found = [
            self._route(key, dict(sorted(seen.items())), seconds)
            for key, seen in statuses.items()
        ]
        return sorted(found, key=lambda route: -route["requests"])

    def excerpt(self) -> list[str]:
        """Return a few lines that show what a scrape looks like."""
        lines = self._text.splitlines()
        shown: list[str] = []
        for pattern, count in _EXCERPT:
            shown += [line for line in lines if pattern.match(line)][:count]

        return shown

    def _route(
        self, key: tuple[str, str], statuses: dict[str, int], seconds: float
    ) -> Route:
        counts: defaultdict[float, float] = defaultdict(float)
        for labels, value in self._samples[f"{_DURATION}_bucket"]:
            if (labels["http_request_method"], labels["http_route"]) == key:
                counts[float(labels["le"])] += value

        buckets = sorted(counts.items())
        requests = sum(statuses.values())
        return {
            "method": key[0],
            "route": key[1],
            "requests": requests,
            "per_s": round(requests / seconds, 2),
            "p50_ms": _quantile_ms(buckets, 0.5),
            "p95_ms": _quantile_ms(buckets, 0.95),
            "p99_ms": _quantile_ms(buckets, 0.99),
            "statuses": statuses,
        }


def _quantile_ms(buckets: Iterable[tuple[float, float]], quantile: float) -> float:
    """Interpolate in cumulative buckets, as PromQL's histogram_quantile does."""
    counted = list(buckets)
    wanted = quantile * counted[-1][1] if counted else 0.0
    lower_s = below = 0.0
    for upper_s, count in counted:
        if count >= wanted and count > below:
            if math.isinf(upper_s):
                break

            share = (wanted - below) / (count - below)
            return round((lower_s + (upper_s - lower_s) * share) * 1000, 2)

        lower_s, below = (lower_s if math.isinf(upper_s) else upper_s), count

    return round(lower_s * 1000, 2)
