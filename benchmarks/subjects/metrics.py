"""Counters and histograms: a kept child, and one looked up by its label values."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from typing import TYPE_CHECKING

from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Counter, Histogram

    from benchmarks.workload import Workload

LABELS = ("method", "route", "status")
VALUES = ("GET", "/items/{item_id}", "200")
WRITTEN = ", ".join(f'"{value}"' for value in VALUES)
OBSERVE = "child.observe(0.042)"
OBSERVE_SPREAD = "child.observe(value())"
_SEED = 4
_DIFFERENT = 10_007


def log_normal() -> Callable[[], float]:
    """Return what gives latencies as they come: log-normal, median 50 ms, sigma 1."""
    draw = random.Random(_SEED)
    values = [draw.lognormvariate(-3.0, 1.0) for _ in range(_DIFFERENT)]
    return itertools.cycle(values).__next__


def _counter() -> Counter:
    from prometheus_client import Counter

    return Counter("orders_created", "Orders accepted", LABELS)


def _histogram() -> Histogram:
    from prometheus_client import Histogram

    return Histogram("order_seconds", "Time per order", LABELS)


def share_by_files() -> None:
    """Have prometheus_client keep its values in files that processes share."""
    # Read when prometheus_client is imported, so it has to come before.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="bench-")


def prometheus_counter() -> Workload:
    """prometheus_client, kept child."""
    return Statement("child.inc()", {"child": _counter().labels(*VALUES)})


def prometheus_counter_files() -> Workload:
    """prometheus_client in multiprocess mode, kept child."""
    share_by_files()
    return prometheus_counter()


def prometheus_counter_labels() -> Workload:
    """prometheus_client, three labels looked up by position."""
    return Statement(f"family.labels({WRITTEN}).inc()", {"family": _counter()})


def prometheus_counter_labels_files() -> Workload:
    """prometheus_client in multiprocess mode, three labels by position."""
    share_by_files()
    return prometheus_counter_labels()


def prometheus_histogram() -> Workload:
    """prometheus_client, kept child with the default buckets."""
    return Statement(OBSERVE, {"child": _histogram().labels(*VALUES)})


def prometheus_histogram_files() -> Workload:
    """prometheus_client in multiprocess mode, kept child."""
    share_by_files()
    return prometheus_histogram()


def prometheus_spread() -> Workload:
    """prometheus_client, kept child, latencies of all sizes."""
    names = {"child": _histogram().labels(*VALUES), "value": log_normal()}
    return Statement(OBSERVE_SPREAD, names)


def prometheus_spread_files() -> Workload:
    """prometheus_client in multiprocess mode, latencies of all sizes."""
    share_by_files()
    return prometheus_spread()


def otel_counter() -> Workload:
    """OTel SDK with a reader that is never read, as in a service between scrapes."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider([InMemoryMetricReader()]).get_meter("orders")
    names = {"counter": meter.create_counter("orders_created")}
    labels = dict(zip(LABELS, VALUES, strict=True))
    return Statement(f"counter.add(1, {labels!r})", names)


def ours_counter() -> Workload:
    """svcready, kept child."""
    import svcready
    from benchmarks.subjects.ours import start

    family = svcready.counter("orders_created", "Orders accepted", labels=LABELS)
    flush = start()
    return Statement("child.inc()", {"child": family.labels(*VALUES)}, flush)


def ours_counter_labels() -> Workload:
    """svcready, three labels looked up by position."""
    import svcready
    from benchmarks.subjects.ours import start

    family = svcready.counter("orders_created", "Orders accepted", labels=LABELS)
    flush = start()
    return Statement(f"family.labels({WRITTEN}).inc()", {"family": family}, flush)


def ours_histogram() -> Workload:
    """svcready, kept child, buckets and sketch."""
    import svcready
    from benchmarks.subjects.ours import start

    family = svcready.histogram("order_seconds", "Time per order", labels=LABELS)
    flush = start()
    family.keep_sketches(True)
    return Statement(OBSERVE, {"child": family.labels(*VALUES)}, flush)


def ours_spread(*, sketched: bool) -> Workload:
    """svcready, kept child, latencies of all sizes."""
    import svcready
    from benchmarks.subjects.ours import start

    family = svcready.histogram("order_seconds", "Time per order", labels=LABELS)
    flush = start()
    family.keep_sketches(sketched)
    names = {"child": family.labels(*VALUES), "value": log_normal()}
    return Statement(OBSERVE_SPREAD, names, flush)


def floor_values() -> Workload:
    """The values alone, which everyone's figure has in it."""
    return Statement("value()", {"value": log_normal()})


def floor_append() -> Workload:
    """Appending to a bounded deque, the least that a buffer costs."""
    from collections import deque

    return Statement("append(0.042)", {"append": deque(maxlen=4096).append})
