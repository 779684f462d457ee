"""Limits on requests that middleware sends to another route than they came for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import svcready
from svcready.testing import FakeClock, Harness, running
from tests.adapters.limits import nothing_declared
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

Running = Callable[[str], AbstractContextManager[Harness]]
Statuses = Callable[..., list[int]]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers, but for who the caller is."""
    with nothing_declared():

        @svcready.resilience.resolver("tenant")
        def tenant(request: Any) -> str | None:
            where = getattr(request, "scope", None) or request.environ
            return str(where.get("tenant") or "") or None

        yield


@pytest.fixture
def run() -> Running:
    """Start a runtime with these rules."""

    def begin(rules: str) -> AbstractContextManager[Harness]:
        settings = {"http.rate_limits": rules}
        return running(service="orders", settings=settings, clock=FakeClock())

    return begin


async def page(request: Request) -> PlainTextResponse:
    """Answer with what was asked for."""
    return PlainTextResponse(request.url.path)


class Versions:
    """Takes the version off a path, and says whose request it is, in a copy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope = {**scope, "tenant": "acme"}
        scope["path"] = scope["path"].removeprefix("/v2")
        await self.app(scope, receive, send)


class VersionsInPlace(Versions):
    """Does so in the scope itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["tenant"] = "acme"
        scope["path"] = scope["path"].removeprefix("/v2")
        await self.app(scope, receive, send)


def make_starlette(kind: type[Versions]) -> Callable[[Harness], Statuses]:
    """Return what makes an application on Starlette with such middleware."""

    def make(harness: Harness) -> Statuses:
        app = Starlette(routes=[Route("/orders", page)], middleware=[Middleware(kind)])
        harness.runtime.attach(app)

        def ask(path: str, *clients: str) -> list[int]:
            scopes = [http_scope(path, client=(client, 1)) for client in clients]
            return [asyncio.run(ask_asgi(app, scope)).status for scope in scopes]

        return ask

    return make


def make_flask(harness: Harness) -> Statuses:
    """Make the same in Flask."""
    app = flask.Flask("orders")
    app.get("/orders")(lambda: "ok")
    inner = app.wsgi_app

    def versions(environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"].removeprefix("/v2")
        moved = {**environ, "PATH_INFO": path, "tenant": "acme"}
        return inner(moved, start_response)

    app.wsgi_app = versions  # type: ignore[method-assign]
    harness.runtime.attach(app)

    def ask(path: str, *clients: str) -> list[int]:
        return [ask_wsgi(app, path, REMOTE_ADDR=client).status for client in clients]

    return ask


stacks = pytest.mark.parametrize(
    "make",
    [make_starlette(Versions), make_starlette(VersionsInPlace), make_flask],
    ids=["starlette", "starlette-in-place", "flask"],
)


@stacks
@pytest.mark.parametrize("by", ["address", "tenant", "route"])
def test_rules_hold_for_the_route_that_is_taken(
    make: Callable[[Harness], Statuses], run: Running, by: str
) -> None:
    """Whatever path a request came with, it is limited where it is served."""
    with run(f"/orders 2/m by {by}") as harness:
        ask = make(harness)
        assert ask("/v2/orders", "10.0.0.1") == [200]
        assert ask("/orders", "10.0.0.1", "10.0.0.1") == [200, 429]
        assert ask("/v2/orders", "10.0.0.1") == [429]


@stacks
def test_nothing_is_taken_twice(
    make: Callable[[Harness], Statuses], run: Running
) -> None:
    """A rule that was asked when the request came is not asked again."""
    with run("* 3/m by address as all; /orders 9/m by address as orders") as harness:
        ask = make(harness)
        assert ask("/v2/orders", *["10.0.0.1"] * 4) == [200, 200, 200, 429]


@stacks
def test_resolvers_see_what_middleware_left(
    make: Callable[[Harness], Statuses], run: Running
) -> None:
    """Callers of one tenant share its limit though they have their own addresses."""
    with run("* 2/m by tenant") as harness:
        ask = make(harness)
        assert ask("/orders", "10.0.0.1", "10.0.0.2", "10.0.0.3") == [200, 200, 429]


def test_routes_in_a_mount_have_a_limit_each(run: Running) -> None:
    """A function's limit by route knows the route, mounts before it included."""
    limited = svcready.limit("1/m", by="route", name="each")
    both = [Route("/a", limited(page)), Route("/b", limited(page))]
    with run("") as harness:
        app = Starlette(routes=[Mount("/sub", routes=both)])
        harness.runtime.attach(app)
        paths = ["/sub/a", "/sub/b", "/sub/a", "/sub/b"]
        replies = [asyncio.run(ask_asgi(app, http_scope(path))) for path in paths]
        assert [reply.status for reply in replies] == [200, 200, 429, 429]
