"""Makes the operator's surface from a runtime's settings and pillars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access._build import gate_of
from svcready.admin._access._decisions import Decisions
from svcready.admin._openapi._paths import PATHS
from svcready.admin._port._port import OpsPort
from svcready.admin._routes._breakers import breakers_route
from svcready.admin._routes._config import config_route
from svcready.admin._routes._drain import DrainRoute, noticed
from svcready.admin._routes._index import index_route
from svcready.admin._routes._info import info_route
from svcready.admin._routes._loggers import LoggersRoute
from svcready.admin._routes._metrics import cost_route, scrape_route
from svcready.admin._routes._overview import with_overview
from svcready.admin._routes._policies import policies_route
from svcready.admin._routes._probes import probe_routes, report_route
from svcready.admin._routes._tasks import tasks_route
from svcready.admin._routes._threads import threads_route
from svcready.admin._security_headers import security_headers
from svcready.admin._surface import OpsSurface, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready._runtime import Runtime
    from svcready.admin._exchange import Audit
    from svcready.admin._routes._probes import Health

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
    settings, gate = runtime.settings, gate_of(runtime)
    routes: list[Route] = []
    if runtime.health is not None:
        health: Health = runtime.health
        if own_port and runtime.ops.health is not None:
            health = runtime.ops.health  # of all workers

        probes = probe_routes(health, settings.health, gated=gate.admits_some)
        routes += (noticed(route, runtime.drain) for route in probes)

    if own_port or not runtime.ops.wanted:
        operators = [*_operators_routes(runtime, audit)]
        if settings.admin.enabled:
            operators.append(index_route(operators, settings.http.path_prefix))

        routes += (
            r._replace(operations=PATHS.get(r.path, r.operations)) for r in operators
        )

    return OpsSurface(
        routes,
        gate=gate,
        decided=Decisions(runtime.audit),
        prefix=settings.http.path_prefix,
        added=security_headers(settings.http),
    )


def _operators_routes(runtime: Runtime, audit: Audit | None) -> Iterator[Route]:
    """Make the paths that live on the operator's own port, where there is one."""
    settings, metrics = runtime.settings, runtime.metrics
    if metrics is not None and settings.prometheus.enabled:
        yield scrape_route(metrics)

    if not settings.admin.enabled:
        return

    if runtime.health is not None and settings.health.details != "never":
        health = runtime.ops.health or runtime.health
        yield with_overview(report_route(health), runtime)

    yield info_route(runtime)
    yield config_route(runtime)
    yield threads_route(runtime)
    yield tasks_route(runtime)
    if runtime.breakers is not None:
        yield breakers_route(runtime.breakers, audit or _log_of(runtime))
        yield policies_route(runtime.resilience)

    loggers = _loggers(runtime, audit)
    if loggers is not None:
        # Slow: a change waits for the other workers.
        path, methods = "/admin/loggers", loggers.methods
        yield Route(path, loggers, methods, guarded=True, slow=True)

    # Slow: it waits for the delay.
    drain = DrainRoute(runtime, audit or _log_of(runtime))
    yield Route(
        "/admin/drain", drain, drain.methods, guarded=True, all_change=True, slow=True
    )

    if metrics is not None:
        yield cost_route(runtime, metrics)


def _loggers(runtime: Runtime, audit: Audit | None) -> LoggersRoute | None:
    if runtime.levels is None:
        return None

    return LoggersRoute(
        runtime.levels,
        origin_of=lambda field: runtime.settings.origin(f"log.{field}").kind,
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


def open_port(runtime: Runtime, *, path: str = "") -> OpsPort:
    """
    Serve the surface on the port that SVCREADY_ADMIN_PORT names, or on a socket.

    Args:
        runtime: Gives settings and pillars.
        path: The Unix socket.

    Raises:
        OSError: It cannot be had.
    """
    admin = runtime.settings.admin
    surface, groups = build_surface(runtime, own_port=True), _groups(runtime)

    def renewed() -> OpsSurface:
        nonlocal surface, groups
        now = _groups(runtime)
        if groups != now:  # a check of a new group was declared
            groups, surface = now, build_surface(runtime, own_port=True)

        return surface

    # In development whoever can connect to it is the own machine, and elsewhere
    # nobody: it is no network that could be let in.
    peer = "127.0.0.1" if runtime.development else "unix"
    host, port = admin.host, admin.port
    return OpsPort(surface, host, port, path=path, peer=peer, renewed=renewed)


def _groups(runtime: Runtime) -> tuple[str, ...]:
    return () if runtime.health is None else runtime.health.groups
