"""The section HTTP: the inbound request: ids, paths, access lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["HttpSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpSettings:
    """The inbound request: ids, paths, access lines."""

    section: ClassVar[str] = "HTTP"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
