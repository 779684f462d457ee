"""Client libraries that are traced are measured, too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._pillar import MetricsPillar
    from svcready.tracing._pillar import TracePillar

__all__ = ["measure_traced"]


class _Measured(NamedTuple):
    """What the metrics of a traced library are called."""

    name: str
    module: str
    """Measured from when this is imported."""


_MEASURED = {
    "aio_pika": _Measured("aio_pika", "aio_pika"),
    "aiokafka": _Measured("kafka", "aiokafka"),
    "botocore": _Measured("botocore", "botocore"),
    "celery": _Measured("celery", "celery"),
    "pika": _Measured("pika", "pika"),
    # Of psycopg itself there are none; its pools are a package of their own.
    "psycopg": _Measured("psycopg_pool", "psycopg_pool"),
    "sqlalchemy": _Measured("sqlalchemy", "sqlalchemy"),
}
"""By the name of what is traced."""


def measure_traced(
    metrics: MetricsPillar, tracing: TracePillar
) -> list[Callable[[], None]]:
    """
    Have *metrics* measure each client library that *tracing* traces, now or later.

    Returns:
        What ends the waiting.
    """
    if not metrics.measures_traced:
        return []

    waits: list[Callable[[], None]] = []

    def traced(name: str) -> None:
        measured = _MEASURED.get(name)
        if measured is not None:
            measure = partial(metrics.measure, measured.name)
            waits.append(when_imported(measured.module, measure))

    def forget() -> None:
        for wait in waits:
            wait()

    tracing.clients.tell(traced)
    return [forget]
