"""The rows of the budgets that are about metrics, and what decides each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.budgets import Budget, Item
from benchmarks.limits import against
from benchmarks.model import Row

if TYPE_CHECKING:
    from benchmarks.model import Limit

NO_DEARER = 1.05
"""What is meant to cost the same, but for the noise of measuring it."""


def _row(
    budget: Budget,
    title: str,
    bench: str,
    limits: tuple[Limit, ...],
    *others: str,
    unit: str = "us",
    over: str = "",
) -> Row:
    shows = ("svcready", *others)
    return Row(budget, title, bench, limits, Item.METRICS, shows, over, unit)


_CLIENT = "prometheus_client"
_FILES = "multiprocess"
_ALONE = "svcready alone"

RECORDING_ROWS = (
    _row(
        Budget.COUNTER,
        "Counter, kept child",
        "counter",
        against("svcready", _CLIENT, 0.5, 0.3),
        *(_CLIENT, _FILES, "OTel", "floor"),
    ),
    _row(
        Budget.COUNTER_LABELS,
        "Counter with label look-up (3)",
        "counter with labels",
        against("svcready", _CLIENT, 0.3, 0.15),
        _CLIENT,
    ),
    _row(
        Budget.HISTOGRAM,
        "Histogram, kept child (buckets **and** sketch)",
        "histogram",
        against("svcready", _CLIENT, 0.5, 0.25),
        *(_CLIENT, _FILES),
    ),
    _row(
        Budget.HISTOGRAM,
        "Histogram, kept child (buckets **and** sketch), log-normal values",
        "histogram of log-normal values",
        against("svcready", _CLIENT, 0.5, 0.25),
        *(_CLIENT, _FILES, "without sketch", "the values alone"),
    ),
    _row(
        Budget.COUNTER,
        "Counter of OpenTelemetry's API, 3 attributes",
        "OTel counter",
        against("svcready", "OTel SDK", 1.0),
        "OTel SDK",
    ),
    _row(
        Budget.HISTOGRAM,
        "Histogram of OpenTelemetry's API, 3 attributes, log-normal values",
        "OTel histogram",
        against("svcready", "OTel SDK", 1.0),
        "OTel SDK",
    ),
)

WORKERS_ROWS = (
    *(
        _row(
            Budget.MANY_WORKERS,
            f"{what}, one of three workers, publishing included",
            bench,
            (
                *against("svcready", _ALONE, NO_DEARER),
                *against("svcready", _FILES, limit),
            ),
            *(_FILES, _ALONE),
        )
        for what, bench, limit in (
            ("Counter, kept child", "counter of a worker", 0.5),
            ("Counter with label look-up (3)", "counter with labels of a worker", 0.3),
            ("Histogram, log-normal values", "histogram of a worker", 0.5),
        )
    ),
    *(
        _row(
            Budget.MANY_WORKERS,
            f"Scrape of three workers with {series // 1000} 000 counters each",
            f"scrape of {series} counters of workers",
            against("svcready", _FILES, 1.0),
            _FILES,
            unit="ms",
        )
        for series in (1_000, 10_000)
    ),
)

READING_ROWS = (
    *(
        _row(
            Budget.SCRAPE,
            f"Snapshot of {series // 1000} 000 counters, nothing written",
            f"snapshot of {series} counters",
            against("svcready", _CLIENT, 1.0),
            *(_CLIENT, "published"),
            unit="ms",
        )
        for series in (1_000, 10_000, 100_000)
    ),
    *(
        _row(
            Budget.SCRAPE,
            f"Scrape, {series // 1000} 000 series of {what}",
            f"scrape of {series} {what}",
            against("svcready", _CLIENT, 1.0, 1 / 10),
            _CLIENT,
            unit="ms",
        )
        for what, series in (
            ("counters", 1_000),
            ("counters", 10_000),
            ("counters", 100_000),
            ("histograms", 100_000),
        )
    ),
    _row(
        Budget.SCRAPE,
        "Memory of 20 000 histogram children, over none",
        "memory of histograms",
        against("svcready", _CLIENT, 1 / 3, 1 / 6, over="none"),
        _CLIENT,
        unit="MiB",
        over="none",
    ),
    _row(
        Budget.EMF,
        "EMF, 5 metrics × 3 dimensions, recorded and flushed",  # noqa: RUF001
        "EMF",
        (
            *against("svcready", "aws-embedded-metrics", 1 / 6, 1 / 12),
            *against("svcready", "Powertools", 1 / 6, 1 / 12),
        ),
        *("aws-embedded-metrics", "Powertools", "floor"),
    ),
)

METRICS_ROWS = (*RECORDING_ROWS, *WORKERS_ROWS, *READING_ROWS)
