"""What recording a metric costs."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

COUNTER = Bench(
    "counter",
    Group.METRICS,
    (
        Subject("svcready", "metrics:ours_counter", "kept child", ours=True),
        Subject("prometheus_client", "metrics:prometheus_counter", "kept child"),
        Subject("multiprocess", "metrics:prometheus_counter_files", "kept child"),
        Subject("OTel", "metrics:otel_counter", "SDK, in-memory reader"),
        Subject("floor", "metrics:floor_append", "deque append"),
    ),
)

COUNTER_LABELS = Bench(
    "counter with labels",
    Group.METRICS,
    (
        Subject("svcready", "metrics:ours_counter_labels", "positional", ours=True),
        Subject("prometheus_client", "metrics:prometheus_counter_labels", "positional"),
    ),
)

HISTOGRAM = Bench(
    "histogram",
    Group.METRICS,
    (
        Subject("svcready", "metrics:ours_histogram", "kept child", ours=True),
        Subject("prometheus_client", "metrics:prometheus_histogram", "kept child"),
        Subject("multiprocess", "metrics:prometheus_histogram_files", "kept child"),
    ),
)

SIZES = (1_000, 10_000, 100_000)


def _scrape(what: str, series: int) -> Bench:
    arguments = {"series": series}
    return Bench(
        f"scrape of {series} {what}",
        Group.METRICS,
        (
            Subject(
                "svcready",
                f"scrape:ours_{what}",
                "text",
                arguments=arguments,
                ours=True,
            ),
            Subject(
                "prometheus_client",
                f"scrape:prometheus_{what}",
                "text, no creation times",
                arguments=arguments,
            ),
        ),
    )


BENCHES = (
    COUNTER,
    COUNTER_LABELS,
    HISTOGRAM,
    *(_scrape("counters", series) for series in SIZES),
    _scrape("histograms", SIZES[-1]),
)
