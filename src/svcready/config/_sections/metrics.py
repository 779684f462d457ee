"""The section METRICS: metrics, whatever the sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, NAMES, integer
from svcready.config._setting import setting

__all__ = ["MetricsSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsSettings:
    """Metrics, whatever the sink."""

    section: ClassVar[str] = "METRICS"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    max_series: int = setting(
        2000,
        integer(1, 1_000_000),
        "Series that one metric may have; further label values share one __other__",
    )
    max_total_series: int = setting(
        50_000,
        integer(1, 10_000_000),
        "Series that all metrics of one process may have together",
    )
    max_label_length: int = setting(
        200,
        integer(16, 1024, unit="characters"),
        "A longer label value is cut",
    )
    max_routes: int = setting(
        500,
        integer(1, 100_000),
        "HTTP routes with series of their own; further ones share one __other__",
    )
    process: bool = setting(
        True, FLAG, "Reads CPU, memory, descriptors, threads and GC of the process"
    )
    application_registry: bool = setting(
        True, FLAG, "Includes the application's own prometheus_client metrics"
    )
    otel_meters: bool = setting(
        True, FLAG, "Takes what libraries record through OpenTelemetry's meters"
    )
    runtime: bool = setting(
        True, FLAG, "Reads pauses of GC, lag of event loops and context switches"
    )
    host: bool = setting(
        True, FLAG, "Reads disk and network traffic and the container's limits"
    )
    exemplars: bool = setting(
        True, FLAG, "Keeps trace ids of sampled spans as exemplars"
    )
    workers: bool = setting(
        True, FLAG, "Shows all workers of the service on the page of each"
    )
    instrument: tuple[str, ...] = setting(
        ("auto",),
        NAMES,
        "Client libraries to measure: auto (those that are traced), none, or some of "
        "sqlalchemy, psycopg_pool, django, botocore, pika, aio_pika, kafka, celery",
    )
