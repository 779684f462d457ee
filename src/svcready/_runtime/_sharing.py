"""What a service shares by Redis: with whom, and what is missing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._runtime._runtime import Runtime
    from svcready.config import Settings
    from svcready.resilience._sharing._shared import Shared

__all__ = ["lacks_redis", "share"]

_NO_URL = "{} needs SVCREADY_RESILIENCE_REDIS_URL: {}"
_ALONE = "each process's circuit breakers stand alone"
_OWN = "each process counts for itself"
_NO_NAME = (
    "SVCREADY_RESILIENCE_REDIS_URL needs SVCREADY_SERVICE_NAME: nothing is shared, "
    "because any other service without a name would share it too"
)


def lacks_redis(settings: Settings) -> list[str]:
    """Tell of what is to be shared and has no place for it."""
    resilience = settings.resilience
    lacks: list[str] = []
    if not resilience.enabled or resilience.redis_url:
        return lacks

    if resilience.share_breakers:
        lacks.append(_NO_URL.format("SVCREADY_RESILIENCE_SHARE_BREAKERS", _ALONE))

    if settings.http.rate_limit_store == "redis":
        lacks.append(_NO_URL.format("SVCREADY_HTTP_RATE_LIMIT_STORE=redis", _OWN))

    return lacks


def share(runtime: Runtime) -> Shared:
    """Make what the settings ask for; it begins when the process works."""
    from svcready.resilience._sharing._shared import Shared

    settings = runtime.settings
    return Shared(
        settings.resilience, settings.http, runtime.clock, lambda: _scope(runtime)
    )


def _scope(runtime: Runtime) -> tuple[str, str] | None:
    """Return the service and environment that share; None: nobody named the service."""
    identity = runtime.identity
    if identity.service.startswith("unknown_service"):
        runtime.note(_NO_NAME)
        return None

    whole = f"{identity.namespace}/{identity.service}".lstrip("/")
    return whole, identity.environment
