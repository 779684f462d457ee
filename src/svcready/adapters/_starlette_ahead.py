"""Limits in FastAPI and Starlette: routes before routing, and answers at the route."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from starlette.applications import Starlette
from starlette.routing import (
    PARAM_REGEX,
    Host,
    Match,
    Mount,
    WebSocketRoute,
    compile_path,
)

from svcready._core.guard import report_fault
from svcready.adapters._admission import NOWHERE, Taken
from svcready.adapters._asgi_admitted import AdmittedExchange
from svcready.adapters._asgi_messages import below
from svcready.adapters._starlette_answers import (
    Answering,
    answer_mounted,
    answer_to,
    respond,
)
from svcready.adapters._starlette_routes import children, have_changed, look
from svcready.errors import LoadShed
from svcready.resilience._answered import is_meant
from svcready.resilience._limiting._inbound import (
    INBOUND,
    RequestRefused,
    ask_at_route_async,
    asks_at_route,
)
from svcready.resilience._limiting._inbound_means import DeclaredRoute

if TYPE_CHECKING:
    import re
    from collections.abc import Awaitable, Collection, Iterable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Router
    from starlette.types import ASGIApp, Receive, Scope, Send

    from svcready.adapters._asgi_messages import Scope as AnyScope
    from svcready.adapters._starlette_routes import Seen
    from svcready.resilience._limiting._inbound import Inbound

__all__ = ["RoutesAhead", "answer_refusals", "catch_refusals", "limit_at_route"]

_MAX_DEPTH = 8
_ANYTHING = "/{path:path}"


class _Known(NamedTuple):
    """What finds one route."""

    pattern: re.Pattern[str]
    """Matches the paths that it is for."""
    methods: Collection[str] | None
    """What it is for; None: all methods."""
    hosts: tuple[Host, ...]
    """The hosts below which it is."""
    taken: Taken
    """What it is."""


class RoutesAhead:
    """
    Tells which route a request will take, as the application's router would.

    Args:
        app: The application; its routes may still grow.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._seen: tuple[Seen, ...] = ()
        self._known: tuple[_Known, ...] = ()

    def __call__(self, scope: AnyScope) -> Taken:
        """Return the route that *scope* will take."""
        self._look()
        path, method = below(scope), scope["method"]
        partly = None
        for pattern, methods, hosts, taken in self._known:
            if pattern.match(path) is None or not _is_at(hosts, scope):
                continue

            if not methods or method in methods:
                return taken

            partly = partly or taken  # answers 405 unless another has the method

        return partly or NOWHERE

    def all(self) -> Sequence[DeclaredRoute]:
        """Return all routes."""
        self._look()
        return [
            DeclaredRoute(taken.template, methods, taken.endpoint)
            for _, methods, _, taken in self._known
            if taken.template is not None
        ]

    def _look(self) -> None:
        if have_changed(self._seen):
            self._seen = tuple(look(self._app))
            self._known = tuple(_flat(self._app.routes, _Place()))


def limit_at_route(router: Router) -> None:
    """Put limits that go by route or caller before what routes in *router*."""
    routed = router.middleware_stack
    if isinstance(routed, Answering):  # of an application that has this one mounted
        routed.layer = _at_route(routed.layer)
    else:
        router.middleware_stack = _at_route(routed)  # type: ignore[assignment]


def _at_route(app: ASGIApp) -> ASGIApp:
    def limited(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = INBOUND.get()
        if request is None or scope["type"] != "http" or not asks_at_route(request):
            return app(scope, receive, send)

        return _ask(app, request, (scope, receive, send))

    return limited


async def _ask(
    app: ASGIApp, request: Inbound, call: tuple[Scope, Receive, Send]
) -> None:
    if isinstance(request, AdmittedExchange):
        request.arrived(call[0])

    refusal = await ask_at_route_async(request)
    if refusal is None:
        await app(*call)
    else:
        request.refused = True
        await respond(refusal)(*call)


def answer_refusals(app: Starlette) -> None:
    """Have *app*, and what is mounted in it, answer what functions refuse."""
    for one in (app, *_mounted(app.routes)):
        one.exception_handlers.setdefault(RequestRefused, _answer)
        one.exception_handlers.setdefault(LoadShed, _answer)
        routed = one.router.middleware_stack
        if not isinstance(routed, Answering):
            one.router.middleware_stack = Answering(one, routed, has_handlers=True)

        if one is not app:
            answer_mounted(one)


def catch_refusals(scope: AnyScope) -> None:
    """
    Have the application answer what limits raise in it that *scope* has got to.

    One that is mounted late, or inside what doesn't say what it is around, is none that
    `answer_refusals` finds, and has middleware of its own that makes a 500 of it.
    """
    handlers: tuple[dict[type, object], object]
    handlers = scope["starlette.exception_handlers"]  # type: ignore[assignment]
    handlers[0].setdefault(RequestRefused, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    if request.scope["type"] != "http" or not is_meant(error):
        raise error

    return answer_to(error)


def _mounted(routes: Iterable[object], depth: int = 0) -> Iterator[Starlette]:
    for route in routes if depth < _MAX_DEPTH else ():
        if isinstance(route, Mount | Host):
            app: object = getattr(route, "_base_app", route.app)  # without middleware
            for _ in range(_MAX_DEPTH):
                if isinstance(app, Starlette):
                    yield app
                    break

                app = getattr(app, "app", None)  # Starlette's middleware calls it so

        yield from _mounted(children(route), depth + 1)


class _Place(NamedTuple):
    """Where in a tree of routes one is."""

    prefix: str = ""
    """The paths of the mounts, as they are matched."""
    hosts: tuple[Host, ...] = ()
    """The hosts."""
    depth: int = 0
    """How far down."""


def _flat(routes: Iterable[object], place: _Place) -> Iterator[_Known]:
    """Yield what finds every route of a tree, in the order in which it is tried."""
    prefix, hosts, depth = place
    for route in routes if depth < _MAX_DEPTH else ():
        inner = place._replace(depth=depth + 1)
        if callable(getattr(route, "effective_route_contexts", None)):
            yield from _flat(children(route), inner)
        elif isinstance(route, Mount):
            inner = inner._replace(prefix=prefix + route.path)
            yield from _flat(children(route), inner)
            shown = f"{inner.prefix}/{{path}}"
            yield from _known(inner.prefix + _ANYTHING, None, hosts, Taken(shown))
        elif isinstance(route, Host):
            inner = inner._replace(hosts=(*hosts, route))
            yield from _flat(children(route), inner)
            yield from _known(prefix + _ANYTHING, None, inner.hosts, NOWHERE)
        elif not isinstance(route, WebSocketRoute):
            path = getattr(route, "path", None)
            form = getattr(route, "path_format", None) or path
            if isinstance(path, str) and isinstance(form, str):
                taken = Taken(prefix + form, getattr(route, "endpoint", None))
                methods = getattr(route, "methods", None)
                yield from _known(prefix + path, methods, hosts, taken)
            else:
                yield from _flat(children(route), inner)


def _known(
    path: str,
    methods: Collection[str] | None,
    hosts: tuple[Host, ...],
    taken: Taken,
) -> Iterator[_Known]:
    numbers = count()

    def renamed(parameter: re.Match[str]) -> str:
        return f"{{at{next(numbers)}{parameter[2] or ''}}}"

    # A mount and a route in it may have parameters of one name, a path may not.
    path = PARAM_REGEX.sub(renamed, path)
    try:
        yield _Known(compile_path(path)[0], methods, hosts, taken)
    except Exception as error:  # noqa: BLE001 - a route class with paths of its own
        report_fault("adapters.routes", error)


def _is_at(hosts: Iterable[Host], scope: AnyScope) -> bool:
    return all(host.matches(scope)[0] is Match.FULL for host in hosts)
