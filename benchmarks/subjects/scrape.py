"""A scrape: everything that was recorded is read and written as one page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry

    from benchmarks.workload import Workload
    from svcready.metrics._pillar import MetricsPillar

LABELS = ("method", "route", "status")
LINES = 17
"""Of one series of a histogram: fourteen bounds, +Inf, count and sum."""


def values_of(count: int) -> Iterator[tuple[str, str, str]]:
    """Yield as many different label values."""
    for number in range(count):
        yield "GET", f"/items/{number % 1000}", str(number // 1000)


def without_creation_times() -> None:
    """Keep prometheus_client from writing when each series began."""
    # Read when prometheus_client is imported. They would double its lines.
    os.environ["PROMETHEUS_DISABLE_CREATED_SERIES"] = "true"


def _counted(series: int) -> CollectorRegistry:
    without_creation_times()
    from prometheus_client import CollectorRegistry, Counter

    registry = CollectorRegistry()
    family = Counter("orders", "Orders accepted", LABELS, registry=registry)
    for number, values in enumerate(values_of(series)):
        family.labels(*values).inc(number)

    return registry


def prometheus_snapshot(series: int) -> Workload:
    """prometheus_client's registry collected, and nothing written."""
    return Statement("tuple(collect())", {"collect": _counted(series).collect})


def prometheus_counters(series: int) -> Workload:
    """prometheus_client, counters."""
    registry = _counted(series)
    from prometheus_client import generate_latest

    return Statement(
        "render(registry)", {"render": generate_latest, "registry": registry}
    )


def prometheus_histograms(series: int) -> Workload:
    """prometheus_client, histograms with OpenTelemetry's bounds."""
    without_creation_times()
    from prometheus_client import CollectorRegistry, Histogram, generate_latest

    registry = CollectorRegistry()
    bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    family = Histogram(
        "orders_seconds", "Time per order", LABELS, buckets=bounds, registry=registry
    )
    for number, values in enumerate(values_of(series // LINES)):
        family.labels(*values).observe(number % 100 / 10)

    return Statement(
        "render(registry)", {"render": generate_latest, "registry": registry}
    )


def _metrics() -> MetricsPillar:
    import svcready

    most = 10**6
    settings = {"metrics.max_series": most, "metrics.max_total_series": most}
    runtime = svcready.init(service="orders", settings=settings)
    assert runtime.metrics is not None
    return runtime.metrics


def _count(series: int) -> MetricsPillar:
    import svcready

    family = svcready.counter("orders", "Orders accepted", labels=LABELS)
    metrics = _metrics()
    for number, values in enumerate(values_of(series)):
        family.labels(*values).inc(number)

    return metrics


def ours_snapshot(series: int) -> Workload:
    """Svcready's snapshot of everything, and nothing written."""
    return Statement("snapshot()", {"snapshot": _count(series).snapshot})


def ours_counters(series: int) -> Workload:
    """svcready, counters."""
    render = _count(series).prometheus.render
    return Statement("render('', None)", {"render": render})


def ours_histograms(series: int) -> Workload:
    """svcready, histograms with OpenTelemetry's bounds."""
    import svcready

    family = svcready.histogram("orders", "Time per order", labels=LABELS, unit="s")
    render = _metrics().prometheus.render
    for number, values in enumerate(values_of(series // LINES)):
        family.labels(*values).observe(number % 100 / 10)

    return Statement("render('', None)", {"render": render})
