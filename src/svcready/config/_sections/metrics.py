"""The section METRICS: metrics, whatever the sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["MetricsSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsSettings:
    """Metrics, whatever the sink."""

    section: ClassVar[str] = "METRICS"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
