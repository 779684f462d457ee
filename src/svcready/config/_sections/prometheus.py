"""The section PROMETHEUS: metrics on a Prometheus endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["PrometheusSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PrometheusSettings:
    """Metrics on a Prometheus endpoint."""

    section: ClassVar[str] = "PROMETHEUS"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    compression: bool = setting(
        True, FLAG, "Compresses the page for scrapers that accept gzip"
    )
