"""The section LOG: log lines: level, format, delivery, redaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["LogSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """Log lines: level, format, delivery, redaction."""

    section: ClassVar[str] = "LOG"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
