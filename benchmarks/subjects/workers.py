"""Recording and publishing in a process that is one of a service's workers."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from benchmarks.subjects import metrics
from benchmarks.subjects.metrics import LABELS, VALUES, log_normal
from benchmarks.subjects.ours import FLUSH_S
from benchmarks.subjects.scrape import values_of, without_creation_times
from benchmarks.workload import Statement, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workload import Workload
    from svcready import Runtime

OTHERS = 2


def _start() -> Runtime:
    import svcready

    most = 10**6
    settings = {"metrics.max_series": most, "metrics.max_total_series": most}
    return svcready.init(service="orders", settings=settings)


def _join(
    runtime: Runtime, begin: Callable[[], object] = nothing
) -> Callable[[], object]:
    """
    Fork the other workers, and return what publishes what this one has recorded.

    A round of 0.4 seconds ends with it, beside the thread that does it once in 0.8: it
    is in the figures three times as often as in a service.
    """

    def work() -> None:
        runtime.wake()
        begin()
        runtime.flush(FLUSH_S)

    fork_others(OTHERS, work)
    runtime.group.poll()
    runtime.wake()
    if len(runtime.group.members()) <= OTHERS:
        message = f"only {runtime.group.members()} have found each other"
        raise RuntimeError(message)

    return functools.partial(runtime.flush, FLUSH_S)


def fork_others(count: int, begin: Callable[[], object]) -> None:
    """Fork processes that begin to work, and end when this one does."""
    lives, life = os.pipe()
    begun, begins = os.pipe()
    for _ in range(count):
        if os.fork() == 0:
            os.close(life)
            begin()
            os.write(begins, b"x")
            os.read(lives, 1)  # until nobody can write any more
            os._exit(0)

    for _ in range(count):
        os.read(begun, 1)


def ours_counter() -> Workload:
    """svcready, kept child, one of three workers."""
    import svcready

    family = svcready.counter("orders_created", "Orders accepted", labels=LABELS)
    flush = _join(_start())
    return Statement("child.inc()", {"child": family.labels(*VALUES)}, flush)


def ours_counter_labels() -> Workload:
    """svcready, three labels looked up by position, one of three workers."""
    import svcready

    family = svcready.counter("orders_created", "Orders accepted", labels=LABELS)
    flush = _join(_start())
    statement = f"family.labels({metrics.WRITTEN}).inc()"
    return Statement(statement, {"family": family}, flush)


def ours_histogram() -> Workload:
    """svcready, kept child, latencies of all sizes, one of three workers."""
    import svcready

    family = svcready.histogram("order_seconds", "Time per order", labels=LABELS)
    flush = _join(_start())
    names = {"child": family.labels(*VALUES), "value": log_normal()}
    return Statement(metrics.OBSERVE_SPREAD, names, flush)


def ours_publishing(series: int) -> Workload:
    """Svcready publishes this worker's counters, of which one has changed."""
    import svcready

    family = svcready.counter("orders", "Orders accepted", labels=LABELS)
    publish = _join(_start())
    children = [family.labels(*values) for values in values_of(series)]
    for number, child in enumerate(children):
        child.inc(number)

    return Statement("inc(); publish()", {"inc": child.inc, "publish": publish})


def ours_scrape(series: int) -> Workload:
    """Svcready's page of three workers, each of which has all the series."""
    import svcready

    family = svcready.counter("orders", "Orders accepted", labels=LABELS)
    runtime = _start()

    def begin() -> None:
        for number, values in enumerate(values_of(series)):
            family.labels(*values).inc(number)

    _join(runtime, begin)
    begin()
    assert runtime.metrics is not None
    render = runtime.metrics.prometheus.render
    return Statement("render('', None)", {"render": render})


def prometheus_scrape(series: int) -> Workload:
    """prometheus_client's page of three workers in multiprocess mode."""
    without_creation_times()
    metrics.share_by_files()
    from prometheus_client import CollectorRegistry, Counter, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    family = Counter("orders", "Orders accepted", LABELS)

    def begin() -> None:
        for number, values in enumerate(values_of(series)):
            family.labels(*values).inc(number)

    fork_others(OTHERS, begin)
    begin()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    names = {"render": generate_latest, "registry": registry}
    return Statement("render(registry)", names)
