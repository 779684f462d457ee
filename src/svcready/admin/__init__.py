"""The operator's surface: health, metrics and admin paths, without a framework."""

from __future__ import annotations

from svcready.admin._access import Admission, TokenGate
from svcready.admin._build import build_surface, open_port
from svcready.admin._exchange import (
    MOST_BODY_BYTES,
    MOST_TAKEN_BYTES,
    OpsRequest,
    OpsResponse,
)
from svcready.admin._surface import OpsSurface

__all__ = [
    "MOST_BODY_BYTES",
    "MOST_TAKEN_BYTES",
    "Admission",
    "OpsRequest",
    "OpsResponse",
    "OpsSurface",
    "TokenGate",
    "build_surface",
    "open_port",
]
