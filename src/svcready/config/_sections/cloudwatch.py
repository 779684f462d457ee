"""The section CLOUDWATCH: metrics on CloudWatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["CloudwatchSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudwatchSettings:
    """Metrics on CloudWatch."""

    section: ClassVar[str] = "CLOUDWATCH"

    """No settings yet."""
