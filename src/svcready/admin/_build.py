"""Makes the operator's surface from a runtime's settings and pillars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access import TokenGate
from svcready.admin._port import OpsPort
from svcready.admin._surface import OpsSurface

if TYPE_CHECKING:
    from svcready._runtime import Runtime

__all__ = ["build_surface", "open_port"]


def build_surface(runtime: Runtime, *, own_port: bool = False) -> OpsSurface:
    """
    Make the surface over what *runtime* has switched on.

    Args:
        runtime: Gives settings and pillars.
        own_port: The surface is for the operator's own port. While there is one, the
            application serves the probes only.
    """
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
        probes_only=bool(settings.admin.port) and not own_port,
    )


def open_port(runtime: Runtime) -> OpsPort:
    """
    Serve the surface on the port that SVCREADY_ADMIN_PORT names.

    Raises:
        OSError: The port cannot be had.
    """
    admin = runtime.settings.admin
    return OpsPort(build_surface(runtime, own_port=True), admin.host, admin.port)
