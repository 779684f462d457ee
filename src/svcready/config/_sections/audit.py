"""The section AUDIT: the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, duration
from svcready.config._setting import setting

__all__ = ["AuditSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """The audit log."""

    section: ClassVar[str] = "AUDIT"

    enabled: bool = setting(True, FLAG, "Writes the audit log", inert=True)
    block_max_s: float = setting(
        1.0,
        duration(high=60.0),
        "How long an audit record may wait to be written",
        inert=True,
    )
    strict: bool = setting(
        False,
        FLAG,
        "Raises in the application when a record could not be written",
        inert=True,
    )
