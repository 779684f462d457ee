"""The section METRICS: metrics, whatever the sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, integer
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
