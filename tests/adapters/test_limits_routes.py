"""Which route limits hold for, before the framework has routed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

from svcready.adapters import _starlette_ahead
from svcready.adapters._asgi_messages import below
from svcready.adapters.fastapi import list_routes
from tests.adapters.limits import Running, nothing_declared
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


def ask(app: Any, path: str, /, host: str = "example.org", **more: Any) -> Reply:
    """Send one request."""
    headers = [(b"host", host.encode())]
    return asyncio.run(ask_asgi(app, http_scope(path, headers=headers, **more)))


async def page(request: Request) -> PlainTextResponse:
    """Answer with what was asked for."""
    return PlainTextResponse(request.url.path)


async def socket(websocket: WebSocket) -> None:
    """Serve nobody."""


def test_a_websocket_hides_no_route(run: Running) -> None:
    """A rule is for the HTTP route of a path that a websocket has, too."""
    with run("/feed/{name} 1/m by address") as harness:
        app = Starlette(
            routes=[WebSocketRoute("/{path:path}", socket), Route("/feed/{name}", page)]
        )
        harness.runtime.attach(app)
        assert [ask(app, "/feed/a").status for _ in range(2)] == [200, 429]

    with run("/feed/{name} 1/m by address") as harness:
        router, api = APIRouter(), FastAPI()
        router.websocket("/feed/{name}")(socket)
        router.get("/feed/{name}")(lambda name: name)
        api.include_router(router)
        harness.runtime.attach(api)
        assert [ask(api, "/feed/a").status for _ in range(2)] == [200, 429]


def test_a_host_has_its_routes_alone(run: Running) -> None:
    """Its routes are of no other host, and those of others are none of its own."""
    with run("/a 1/m by address as a; /b 1/m by address as b") as harness:
        api = Router([Route("/a", page)])
        app = Starlette(
            routes=[
                Host("api.example.org", api),
                Route("/b", page),
                Route("/{name}", page),
            ]
        )
        harness.runtime.attach(app)
        assert [ask(app, "/a").status for _ in range(3)] == [200] * 3  # it is /{name}
        inside = [ask(app, "/a", "api.example.org").status for _ in range(2)]
        assert inside == [200, 429]
        elsewhere = [ask(app, "/b", "api.example.org").status for _ in range(3)]
        assert elsewhere == [404] * 3
        assert [ask(app, "/b").status for _ in range(2)] == [200, 429]


def test_a_root_path_ends_at_a_slash(run: Running) -> None:
    """`/api` is no part of `/apiary`, for Starlette and for us."""
    with run("/apiary 1/m by address") as harness:
        app = Starlette(routes=[Route("/apiary", page), Route("/ary", page)])
        harness.runtime.attach(app)
        statuses = [ask(app, "/apiary", root_path="/api").status for _ in range(2)]
        assert statuses == [200, 429]
        statuses = [ask(app, "/api/ary", root_path="/api").status for _ in range(2)]
        assert statuses == [200, 200]


@pytest.mark.parametrize(
    ("path", "base", "rest"),
    [
        ("/api/orders", "/api", "/orders"),
        ("/api/", "/api", "/"),
        ("/api", "/api", ""),
        ("/apiary", "/api", "/apiary"),
        ("/orders", "/api", "/orders"),
        ("/orders", "", "/orders"),
        ("/orders", None, "/orders"),
    ],
)
def test_below_a_root_path(path: str, base: str | None, rest: str) -> None:
    """It is what Starlette routes by."""
    assert below({"path": path, "root_path": base}) == rest


def test_routes_are_looked_for_once(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many stages ask, unless middleware has changed what is asked for."""
    found: list[object] = []
    find = _starlette_ahead.RoutesAhead.__call__

    def look(self: Any, scope: Any) -> Any:
        found.append(scope["path"])
        return find(self, scope)

    monkeypatch.setattr(_starlette_ahead.RoutesAhead, "__call__", look)
    rules = "/a 9/m by address; /a 9/m by route; /a 9/m by tenant; /b 1/m by route"
    with run(rules) as harness:
        app = Starlette(
            routes=[Mount("/sub", routes=[Route("/c", page)]), Route("/a", page)]
        )
        harness.runtime.attach(app)
        assert ask(app, "/a").status == 200
        assert found == ["/a"]

        class Rewrites:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "http":
                    scope["path"] = "/b"

                await self.app(scope, receive, send)

        other = Starlette(routes=[Route("/b", page)])
        other.add_middleware(Rewrites)
        harness.runtime.attach(other)
        assert [ask(other, "/a").status for _ in range(2)] == [200, 429]


def test_flask_looks_for_its_rule_once(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the search that Flask makes itself."""
    made: list[object] = []
    with run("/a 9/m by address; /a 9/m by route; /a 9/m by tenant") as harness:
        app = flask.Flask("orders")
        app.get("/a")(lambda: "ok")
        harness.runtime.attach(app)
        match = flask.Flask.create_url_adapter

        def create(self: Any, request: Any) -> Any:
            made.append(request)
            return match(self, request)

        monkeypatch.setattr(flask.Flask, "create_url_adapter", create)
        assert ask_wsgi(app.wsgi_app, "/a").status == 200
        assert len([request for request in made if request is not None]) == 2


def test_a_mount_and_a_route_have_parameters_of_one_name(run: Running) -> None:
    """The route has its limit all the same, converters included."""
    rules = "/{id}/orders/{id} 1/m by address as a; /{id}/n/{id:int} 1/m as b"
    with run(rules) as harness:
        inner = [Route("/orders/{id}", page), Route("/n/{id:int}", page)]
        app = Starlette(routes=[Mount("/{id}", routes=inner)])
        harness.runtime.attach(app)
        assert [ask(app, "/1/orders/2").status for _ in range(2)] == [200, 429]
        assert [ask(app, "/1/n/x").status for _ in range(2)] == [404, 404]
        assert [route.template for route in list_routes(app)] == [
            "/{id}/orders/{id}",
            "/{id}/n/{id}",
            "/{id}/{path}",
        ]


class Passes:
    """Middleware around an application, as they are written by hand."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        await self.app(scope, receive, send)


def test_an_application_is_mounted_behind_middleware(run: Running) -> None:
    """Its routes have the limits and the templates that they would have without it."""
    with run("/sub/orders 1/m by address as a; /sub/late 1/m as b") as harness:
        inner = Starlette(routes=[Route("/orders", page)])
        app = Starlette(routes=[Mount("/sub", app=Passes(Passes(inner)))])
        harness.runtime.attach(app)
        assert [ask(app, "/sub/orders").status for _ in range(2)] == [200, 429]
        inner.add_route("/late", page)
        assert [ask(app, "/sub/late").status for _ in range(2)] == [200, 429]


def test_what_is_mounted_may_be_nothing_of_the_kind(run: Running) -> None:
    """A bare application has no routes, and one around itself is looked at no more."""
    loop = Passes(None)
    loop.app = loop
    with run("* 1/m by address") as harness:
        app = Starlette(routes=[Mount("/a", app=Passes(page)), Mount("/b", app=loop)])
        harness.runtime.attach(app)
        assert [route.template for route in list_routes(app)] == [
            "/a/{path}",
            "/b/{path}",
        ]
