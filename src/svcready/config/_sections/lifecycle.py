"""The section LIFECYCLE: starting, draining and stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["LifecycleSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleSettings:
    """Starting, draining and stopping."""

    section: ClassVar[str] = "LIFECYCLE"

    """No settings yet."""
