"""Makes the operator's surface from a runtime's settings and pillars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access import TokenGate
from svcready.admin._decisions import Decisions
from svcready.admin._loggers import LoggersRoute
from svcready.admin._port import OpsPort
from svcready.admin._surface import OpsSurface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._runtime import Runtime
    from svcready.admin._exchange import Audit

__all__ = ["build_surface", "open_port"]


def build_surface(
    runtime: Runtime, *, own_port: bool = False, audit: Audit | None = None
) -> OpsSurface:
    """
    Make the surface over what *runtime* has switched on.

    Args:
        runtime: Gives settings and pillars.
        own_port: The surface is for the operator's own port. While there is one, the
            application serves the probes only.
        audit: Takes down what operators change; by default the audit log and a line
            of the log do.
    """
    settings = runtime.settings
    tokens = settings.admin.tokens
    gate = TokenGate(
        tokens, configured=bool(tokens), open_to_loopback=runtime.development
    )
    return OpsSurface(
        health=runtime.health,
        metrics=runtime.metrics if settings.prometheus.enabled else None,
        gate=gate,
        admin=settings.admin.enabled,
        details=settings.health.details,
        loggers=_loggers(runtime, gate, audit),
        cost=_cost(runtime),
        decided=Decisions(gate, runtime.audit),
        prefix=settings.http.path_prefix,
        probes_only=bool(settings.admin.port) and not own_port,
    )


def _cost(runtime: Runtime) -> Callable[[], dict[str, object]] | None:
    metrics = runtime.metrics
    if metrics is None:
        return None

    def cost() -> dict[str, object]:
        from svcready.metrics.sinks._cloudwatch._usage import usage

        return usage(metrics.snapshot, runtime.settings.cloudwatch, runtime.identity)

    return cost


def _loggers(
    runtime: Runtime, gate: TokenGate, audit: Audit | None
) -> LoggersRoute | None:
    if runtime.levels is None:
        return None

    return LoggersRoute(
        runtime.levels,
        origin_of=lambda field: runtime.settings.origin(f"log.{field}").kind,
        actor_of=lambda request: gate.who(request.header),
        audit=audit or _log_of(runtime),
    )


def _log_of(runtime: Runtime) -> Audit:
    """Return what writes an audit entry and a line about each change."""

    def record(
        action: str,
        resource: Mapping[str, str],
        actor: Mapping[str, str],
        outcome: str,
        /,
        *,
        changes: Mapping[str, object] | None = None,
        **details: object,
    ) -> None:
        runtime.audit.record(action, resource, actor, outcome, details, changes)
        if runtime.logging is not None:
            fields: dict[str, object] = {
                "resource": resource,
                "actor": actor,
                "outcome": outcome,
            }
            if changes:
                fields["changes"] = changes

            said = f"{action} on {resource['type']}/{resource['id']}: {outcome}"
            event = f"svcready.{action}"
            runtime.logging.event(said, "WARN", event=event, **fields, **details)

    return record


def open_port(runtime: Runtime) -> OpsPort:
    """
    Serve the surface on the port that SVCREADY_ADMIN_PORT names.

    Raises:
        OSError: The port cannot be had.
    """
    admin = runtime.settings.admin
    return OpsPort(build_surface(runtime, own_port=True), admin.host, admin.port)
