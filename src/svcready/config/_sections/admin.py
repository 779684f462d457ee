"""The section ADMIN: the operator's surface and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["AdminSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminSettings:
    """The operator's surface and who may use it."""

    section: ClassVar[str] = "ADMIN"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
