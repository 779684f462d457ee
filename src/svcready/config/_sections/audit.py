"""The section AUDIT: the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


__all__ = ["AuditSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """The audit log."""

    section: ClassVar[str] = "AUDIT"

    """No settings yet."""
