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

SPREAD = Bench(
    "histogram of log-normal values",
    Group.METRICS,
    (
        Subject(
            "svcready",
            "metrics:ours_spread",
            "kept child",
            {"sketched": True},
            ours=True,
        ),
        Subject(
            "without sketch",
            "metrics:ours_spread",
            "kept child, nobody takes sketches",
            {"sketched": False},
            ours=True,
        ),
        Subject("prometheus_client", "metrics:prometheus_spread", "kept child"),
        Subject("multiprocess", "metrics:prometheus_spread_files", "kept child"),
        Subject("the values alone", "metrics:floor_values"),
    ),
)

OTEL_COUNTER = Bench(
    "OTel counter",
    Group.METRICS,
    (
        Subject("svcready", "meters:ours_counter", "its MeterProvider", ours=True),
        Subject("OTel SDK", "meters:sdk_counter", "SDK, in-memory reader"),
    ),
)

OTEL_HISTOGRAM = Bench(
    "OTel histogram",
    Group.METRICS,
    (
        Subject("svcready", "meters:ours_histogram", "its MeterProvider", ours=True),
        Subject("OTel SDK", "meters:sdk_histogram", "SDK, in-memory reader"),
    ),
)


PUBLISHING_S = 0.8
"""How often a worker publishes; a round ends with it."""


def _of_a_worker(
    bench: str, ours: str, alone: str, files: str, alone_arguments: dict[str, object]
) -> Bench:
    return Bench(
        f"{bench} of a worker",
        Group.METRICS,
        (
            Subject("svcready", f"workers:{ours}", "one of three", ours=True),
            Subject(
                "svcready alone",
                f"metrics:{alone}",
                "one process",
                alone_arguments,
                ours=True,
            ),
            Subject("multiprocess", f"metrics:{files}", "prometheus_client"),
        ),
        round_s=PUBLISHING_S / 2,
    )


WORKERS = (
    _of_a_worker(
        "counter", "ours_counter", "ours_counter", "prometheus_counter_files", {}
    ),
    _of_a_worker(
        "counter with labels",
        "ours_counter_labels",
        "ours_counter_labels",
        "prometheus_counter_labels_files",
        {},
    ),
    _of_a_worker(
        "histogram",
        "ours_histogram",
        "ours_spread",
        "prometheus_spread_files",
        {"sketched": False},
    ),
)

EMF = Bench(
    "EMF",
    Group.METRICS,
    (
        Subject(
            "svcready",
            "emf:ours",
            "kept children, written when a request ends",
            ours=True,
            logs=True,
        ),
        Subject(
            "aws-embedded-metrics",
            "emf:embedded_metrics",
            "one logger, dimensions kept, standard output",
            logs=True,
        ),
        Subject(
            "Powertools",
            "emf:powertools",
            "default dimensions, flush_metrics",
            logs=True,
        ),
        Subject("floor", "emf:floor", "orjson and one write", logs=True),
    ),
)

MEMORY = Bench(
    "memory of histograms",
    Group.METRICS,
    (
        Subject("none", "benchmarks.fresh.histograms_bare"),
        Subject("svcready", "benchmarks.fresh.histograms_ours", ours=True),
        Subject("prometheus_client", "benchmarks.fresh.histograms_prometheus"),
    ),
    fresh=True,
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


def _snapshot(series: int) -> Bench:
    arguments = {"series": series}
    return Bench(
        f"snapshot of {series} counters",
        Group.METRICS,
        (
            Subject("svcready", "scrape:ours_snapshot", "", arguments, ours=True),
            Subject(
                "published",
                "workers:ours_publishing",
                "to other workers, one counter having changed",
                arguments,
                ours=True,
            ),
            Subject(
                "prometheus_client", "scrape:prometheus_snapshot", "collect", arguments
            ),
        ),
    )


def _scrape_of_workers(series: int) -> Bench:
    arguments = {"series": series}
    return Bench(
        f"scrape of {series} counters of workers",
        Group.METRICS,
        (
            Subject("svcready", "workers:ours_scrape", "text", arguments, ours=True),
            Subject(
                "multiprocess",
                "workers:prometheus_scrape",
                "MultiProcessCollector",
                arguments,
            ),
        ),
    )


BENCHES = (
    COUNTER,
    COUNTER_LABELS,
    HISTOGRAM,
    SPREAD,
    OTEL_COUNTER,
    OTEL_HISTOGRAM,
    *WORKERS,
    *(_scrape_of_workers(series) for series in SIZES[:2]),
    *(_snapshot(series) for series in SIZES),
    *(_scrape("counters", series) for series in SIZES),
    _scrape("histograms", SIZES[-1]),
    MEMORY,
    EMF,
)
