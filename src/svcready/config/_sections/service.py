"""The section SERVICE: who the service is: the names that go on every signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


__all__ = ["ServiceSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """Who the service is: the names that go on every signal."""

    section: ClassVar[str] = "SERVICE"

    """No settings yet."""
