"""The operator's surface: health, metrics and admin paths, without a framework."""

from __future__ import annotations

from svcready.admin._access._gate import Admission, Gate, Verdict
from svcready.admin._build import build_surface, open_port
from svcready.admin._exchange import (
    MOST_BODY_BYTES,
    MOST_TAKEN_BYTES,
    READING,
    OpsRequest,
    OpsResponse,
)
from svcready.admin._openapi._document import describe_surface, join_openapi
from svcready.admin._security_headers import security_headers
from svcready.admin._surface import OpsSurface

__all__ = [
    "MOST_BODY_BYTES",
    "MOST_TAKEN_BYTES",
    "READING",
    "Admission",
    "Gate",
    "OpsRequest",
    "OpsResponse",
    "OpsSurface",
    "Verdict",
    "build_surface",
    "describe_surface",
    "join_openapi",
    "open_port",
    "security_headers",
]
