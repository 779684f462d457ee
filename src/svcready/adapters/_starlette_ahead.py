"""Limits in FastAPI and Starlette: routes before routing, and answers at the route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, compile_path

from svcready._core.guard import report_fault
from svcready.adapters._asgi_messages import below
from svcready.adapters._starlette_routes import children, have_changed, look
from svcready.errors import LoadShed
from svcready.resilience._limiting._inbound import (
    INBOUND,
    RequestRefused,
    ask_at_route_async,
    asks_at_route,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Iterable, Iterator
    from re import Pattern

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from svcready.adapters._asgi_messages import Scope as AnyScope
    from svcready.adapters._starlette_routes import Seen
    from svcready.resilience._limiting._inbound import Inbound, Refusal

    Known = tuple[Pattern[str], Collection[str] | None, str, object]

__all__ = ["TemplatesAhead", "answer_refusals", "at_route"]

_MAX_DEPTH = 8


class TemplatesAhead:
    """
    Tells which route a request will take, as the application's router would.

    Args:
        app: The application; its routes may still grow.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._seen: tuple[Seen, ...] = ()
        self._known: tuple[Known, ...] = ()

    def __call__(self, scope: AnyScope) -> str | None:
        """Return the template of the route that *scope* will take; None: of none."""
        known = self._find(scope)
        return None if known is None else known[2]

    def endpoint(self, scope: AnyScope) -> object:
        """Return what serves the route that *scope* will take; None: nothing known."""
        known = self._find(scope)
        return None if known is None else known[3]

    def _find(self, scope: AnyScope) -> Known | None:
        if have_changed(self._seen):
            self._seen = tuple(look(self._app))
            self._known = tuple(_flat(self._app.routes, "", ""))

        path, method = below(scope), scope["method"]
        partly = None
        for known in self._known:
            pattern, methods = known[:2]
            if pattern.match(path) is None:
                continue

            if not methods or method in methods:
                return known

            partly = partly or known  # answers 405 unless another has the method

        return partly


def at_route(app: ASGIApp) -> ASGIApp:
    """Return *app*, which routes, with limits before it that go by route or caller."""

    def limited(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = INBOUND.get()
        if request is None or scope["type"] != "http" or not asks_at_route(request):
            return app(scope, receive, send)

        return _ask(app, request, (scope, receive, send))

    return limited


async def _ask(
    app: ASGIApp, request: Inbound, call: tuple[Scope, Receive, Send]
) -> None:
    refusal = await ask_at_route_async(request)
    if refusal is None:
        await app(*call)
    else:
        request.refused = True
        await _respond(refusal)(*call)


def answer_refusals(app: Starlette) -> None:
    """Have *app*, and what is mounted in it, answer what functions refuse."""
    for one in (app, *_mounted(app.routes)):
        one.exception_handlers.setdefault(RequestRefused, _answer)
        one.exception_handlers.setdefault(LoadShed, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, RequestRefused | LoadShed):
        raise error

    from svcready.resilience._shed._by_hand import answer_to

    return _respond(answer_to(error))


def _respond(refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def _mounted(routes: Iterable[object], depth: int = 0) -> Iterator[Starlette]:
    for route in routes if depth < _MAX_DEPTH else ():
        app = getattr(route, "app", None)
        if isinstance(app, Starlette) and isinstance(route, Mount):
            yield app

        yield from _mounted(children(route), depth + 1)


def _flat(
    routes: Iterable[object], prefix: str, shown: str, depth: int = 0
) -> Iterator[Known]:
    """Yield what finds every route of a tree, in the order in which it is tried."""
    for route in routes if depth < _MAX_DEPTH else ():
        if callable(getattr(route, "effective_route_contexts", None)):
            yield from _flat(children(route), prefix, shown, depth + 1)
        elif isinstance(route, Mount):
            inner = (prefix + route.path, shown + route.path)
            yield from _flat(children(route), *inner, depth + 1)
            shown_path = f"{inner[1]}/{{path}}"
            yield from _known(f"{inner[0]}/{{path:path}}", None, shown_path, None)
        else:
            path = getattr(route, "path", None)
            form = getattr(route, "path_format", None) or path
            if isinstance(path, str) and isinstance(form, str):
                methods = getattr(route, "methods", None)
                endpoint = getattr(route, "endpoint", None)
                yield from _known(prefix + path, methods, shown + form, endpoint)
            else:  # a host
                yield from _flat(children(route), prefix, shown, depth + 1)


def _known(
    path: str, methods: Collection[str] | None, template: str, endpoint: object
) -> Iterator[Known]:
    try:
        yield compile_path(path)[0], methods, template, endpoint
    except Exception as error:  # noqa: BLE001 - a route class with paths of its own
        report_fault("adapters.routes", error)
