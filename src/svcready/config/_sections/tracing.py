"""The section TRACING: traces: sampling, propagation, export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["TracingSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingSettings:
    """Traces: sampling, propagation, export."""

    section: ClassVar[str] = "TRACING"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
