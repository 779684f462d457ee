"""Makes the operator's surface from a runtime's settings and pillars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access import TokenGate
from svcready.admin._surface import OpsSurface

if TYPE_CHECKING:
    from svcready._runtime import Runtime

__all__ = ["build_surface"]


def build_surface(runtime: Runtime) -> OpsSurface:
    """Make the surface over what *runtime* has switched on."""
    settings = runtime.settings
    tokens = settings.admin.tokens
    return OpsSurface(
        health=runtime.health,
        metrics=runtime.metrics if settings.prometheus.enabled else None,
        gate=TokenGate(
            tokens, configured=bool(tokens), open_to_loopback=runtime.development
        ),
        admin=settings.admin.enabled,
        details=settings.health.details,
        prefix=settings.http.path_prefix,
    )
