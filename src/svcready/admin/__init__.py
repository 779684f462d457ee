"""The operator's surface: health, metrics and admin paths, without a framework."""

from __future__ import annotations

from svcready.admin._access import Admission, TokenGate
from svcready.admin._build import build_surface, open_port
from svcready.admin._surface import OpsRequest, OpsResponse, OpsSurface

__all__ = [
    "Admission",
    "OpsRequest",
    "OpsResponse",
    "OpsSurface",
    "TokenGate",
    "build_surface",
    "open_port",
]
