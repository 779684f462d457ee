"""What libraries record through OpenTelemetry's meters: ours, and the SDK's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.subjects.metrics import LABELS, VALUES, log_normal
from benchmarks.workload import Statement, nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Meter

    from benchmarks.workload import Workload

ATTRIBUTES = dict(zip(LABELS, VALUES, strict=True))


def _ours() -> tuple[Meter, Callable[[], object]]:
    from opentelemetry.metrics import get_meter

    from benchmarks.subjects.ours import start

    flush = start()
    return get_meter("orders"), flush


def _sdk() -> tuple[Meter, Callable[[], object]]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()]).get_meter("orders"), nothing


def _counter(meter: Meter, flush: Callable[[], object]) -> Workload:
    names = {"counter": meter.create_counter("orders"), "attributes": ATTRIBUTES}
    return Statement("counter.add(1, attributes)", names, flush)


def _histogram(meter: Meter, flush: Callable[[], object]) -> Workload:
    names = {
        "histogram": meter.create_histogram("duration", unit="s"),
        "attributes": ATTRIBUTES,
        "value": log_normal(),
    }
    return Statement("histogram.record(value(), attributes)", names, flush)


def ours_counter() -> Workload:
    """Svcready's provider, three attributes."""
    return _counter(*_ours())


def sdk_counter() -> Workload:
    """The SDK with a reader that is never read, as in a service between scrapes."""
    return _counter(*_sdk())


def ours_histogram() -> Workload:
    """Svcready's provider, three attributes."""
    return _histogram(*_ours())


def sdk_histogram() -> Workload:
    """The SDK with its default buckets, and a reader that is never read."""
    return _histogram(*_sdk())
