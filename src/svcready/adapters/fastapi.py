"""FastAPI and Starlette: the ASGI wrapper outside everything that they build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request

from svcready._core.guard import report_fault
from svcready._runtime import current
from svcready.adapters._admission import Ahead
from svcready.adapters._starlette_ahead import (
    RoutesAhead,
    answer_refusals,
    catch_refusals,
    limit_at_route,
)
from svcready.adapters._starlette_answers import answer_middleware
from svcready.adapters._starlette_routes import OwnPaths, RouteTemplates
from svcready.adapters.asgi import ASGIWrapper
from svcready.admin import build_surface, describe_surface, join_openapi

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from starlette.types import ASGIApp

    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["attach", "list_routes"]

_ATTRIBUTE = "svcready_wrapper"
_ROUTES = "svcready_routes"
_MARKS = {"fastapi.telemetry": None}
"""Keeps FastAPI applications mounted below from tracing the request again."""

_NATIVE_SIGNALS = ("tracing", "metrics", "logs")
_NATIVE_PROVIDERS = ("tracer_provider", "meter_provider", "logger_provider")


def attach(app: object) -> bool:
    """
    Put the request lifecycle around *app*, once, outside its error middleware.

    The application is wrapped where it builds its middleware stack, so a server, a
    test client and a parent that mounts it all pass through the wrapper.

    Args:
        app: A FastAPI or Starlette application, whose routes may come later.

    Returns:
        False if it was attached before.
    """
    if not isinstance(app, Starlette):
        msg = f"{app!r} is no Starlette application"
        raise TypeError(msg)

    if hasattr(app, _ATTRIBUTE):
        return False

    build = app.build_middleware_stack

    def build_wrapped() -> ASGIApp:
        answer_refusals(app)
        stack = build()
        answer_middleware(app, stack)
        wrapper = _wrap(app, stack)
        setattr(app, _ATTRIBUTE, wrapper)
        return wrapper

    setattr(app, _ATTRIBUTE, None)
    setattr(app, _ROUTES, RoutesAhead(app))
    limit_at_route(app.router)
    app.build_middleware_stack = build_wrapped  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # it serves already
        app.middleware_stack = build_wrapped()

    _quieten_native_telemetry(app)
    _join_openapi(app)
    return True


def list_routes(app: object) -> Sequence[DeclaredRoute]:
    """Return all HTTP routes of an application that was attached."""
    ahead = getattr(app, _ROUTES, None)
    return ahead.all() if isinstance(ahead, RoutesAhead) else ()


def _wrap(app: Starlette, stack: ASGIApp) -> ASGIApp:
    return ASGIWrapper(
        stack,
        route_of=RouteTemplates(app),
        is_own_path=OwnPaths(app),
        marks=_MARKS,
        ahead=Ahead(getattr(app, _ROUTES), Request, catch_refusals),
    )


def _join_openapi(app: Starlette) -> None:
    """Have FastAPI's document name our paths too, where an operator asks for it."""
    made: Callable[[], dict[str, object]] | None = getattr(app, "openapi", None)
    if not callable(made):  # Starlette has none
        return

    def openapi() -> dict[str, object]:
        document = made()
        runtime = current()
        if runtime is None or not runtime.settings.http.openapi:
            return document

        try:
            surface, own = build_surface(runtime), OwnPaths(app)
            ours = describe_surface(
                surface, title="", version="", without=set(filter(own, surface.routes))
            )
            return join_openapi(document, ours)
        except Exception as error:  # noqa: BLE001 - the application's own is whole
            report_fault("adapters.openapi", error)
            return document

    app.openapi = openapi  # type: ignore[attr-defined]


def _quieten_native_telemetry(app: Starlette) -> None:
    """
    Switch off FastAPI's own OpenTelemetry spans and metrics for this application.

    FastAPI (0.160 on) traces by itself as soon as a global provider exists, which
    would give every request a second server span. An application that handed FastAPI
    a provider of its own asked for that one, and keeps it.
    """
    config: MutableMapping[str, object] | None = getattr(app, "_telemetry", None)
    try:
        if config is None or any(config.get(key) for key in _NATIVE_PROVIDERS):
            return

        config.update(dict.fromkeys(_NATIVE_SIGNALS, False))
    except Exception as error:  # noqa: BLE001 - another version keeps it elsewhere
        report_fault("adapters.fastapi", error)
