"""What the settings say of inbound requests, as the resilience pillar asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._cells import renew_plans
from svcready.resilience._limiting._inbound_means import FieldOptions, InboundMeans

if TYPE_CHECKING:
    from svcready._runtime._runtime import Runtime
    from svcready.resilience._sharing._shared import Shared

__all__ = ["inbound_means"]


def inbound_means(runtime: Runtime, shared: Shared) -> InboundMeans:
    """
    Say what the operator says of inbound requests, as the settings have it now.

    Args:
        runtime: Whose settings.
        shared: What is shared with other processes.
    """

    def options() -> FieldOptions:
        told = runtime.settings.http.rate_limit_headers
        return FieldOptions(
            standard="ratelimit" in told,
            legacy="legacy" in told,
            partition="partition-key" in told,
        )

    def named(name: str, field: str) -> str:
        said = runtime.settings.named.explained("LIMIT", name).get(field)
        return field if said is None else said.origin.where

    return InboundMeans(
        lambda: runtime.settings.http.rate_limits,
        lambda name: runtime.settings.named.values("LIMIT", name),
        options,
        renew_plans,
        lambda: runtime.settings.http,
        shared.rate_store,
        lambda: runtime.apps.routes(),  # noqa: PLW0108 - it may come from another
        lambda: runtime.apps.elsewhere,
        named,
        lambda path: _is_own(runtime, path),
        lambda: "memory" if shared.rates is None else "redis",
        lambda: str(runtime.settings.origin("http.rate_limits")),
    )


def _is_own(runtime: Runtime, path: str) -> bool:
    """Tell whether svcready answers *path*, where the application has no such route."""
    settings = runtime.settings
    if not path.startswith(settings.http.path_prefix):
        return False

    path = path[len(settings.http.path_prefix) :]
    health = settings.health
    probes = {health.liveness_path, health.readiness_path, health.startup_path}
    return path in {"/metrics", "/admin", *probes} or path.startswith("/admin/")
