"""The section CORE: the library itself: switches, strictness, where things are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG
from svcready.config._setting import setting

__all__ = ["CoreSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreSettings:
    """The library itself: switches, strictness, where things are kept."""

    section: ClassVar[str] = "CORE"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
