"""The section OTLP: export over the OpenTelemetry protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


__all__ = ["OtlpSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OtlpSettings:
    """Export over the OpenTelemetry protocol."""

    section: ClassVar[str] = "OTLP"

    """No settings yet."""
