"""The section XRAY: AWS X-Ray: its daemon and its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


__all__ = ["XraySettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class XraySettings:
    """AWS X-Ray: its daemon and its names."""

    section: ClassVar[str] = "XRAY"

    """No settings yet."""
