"""The section RESILIENCE: retries, breakers and the other policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["ResilienceSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResilienceSettings:
    """Retries, breakers and the other policies."""

    section: ClassVar[str] = "RESILIENCE"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
