"""The section HEALTH: health checks and probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["HealthSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthSettings:
    """Health checks and probes."""

    section: ClassVar[str] = "HEALTH"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
