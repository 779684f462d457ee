"""`svcready.wrap` among frameworks' applications and callables that tell nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import svcready
from svcready.errors import DeclarationError
from svcready.testing import Harness
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope


async def mine(request: object = None) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("mine")


def routes_of(harness: Harness) -> list[str]:
    """Return the route that each access line names."""
    lines: list[Any] = harness.access_lines
    return [line["http"]["route"] for line in lines]


def make_fastapi() -> Any:
    """Make an application with a route and a path that is an operator's too."""
    app = FastAPI()
    app.get("/orders/{number}", response_model=None)(lambda number: "one")
    app.get("/metrics", response_model=None)(mine)
    return app


def make_starlette() -> Any:
    """Make the same with Starlette."""
    routes = [Route("/orders/{number}", mine), Route("/metrics", mine)]
    return Starlette(routes=routes)


@pytest.mark.parametrize("make", [make_fastapi, make_starlette])
def test_an_asgi_framework_keeps_its_routes(harness: Harness, make: Any) -> None:
    """The line names the template, and a path of the application's stays its own."""
    app = make()
    assert svcready.wrap(svcready.wrap(app)) is app

    assert asyncio.run(ask_asgi(app, http_scope("/orders/7"))).status == 200
    own = asyncio.run(ask_asgi(app, http_scope("/metrics")))

    assert b"mine" in own.body
    assert routes_of(harness) == ["/orders/{number}", "/metrics"]


def test_routes_that_share_an_endpoint_are_told_apart(harness: Harness) -> None:
    """By path and method, mounted or not, also where Starlette names no route."""
    routes = [
        Route("/both/{number}", mine, methods=["POST"]),
        Route("/both/{name}", mine),
        Route("/other", mine),
    ]
    app = Starlette(routes=[*routes, Mount("/shop/{id}", routes=routes)])
    svcready.wrap(app)
    for path in ("/both/1", "/other", "/shop/7/both/1", "/shop/7/other"):
        asyncio.run(ask_asgi(app, http_scope(path)))

    asyncio.run(ask_asgi(app, {**http_scope("/both/1"), "method": "POST"}))

    assert routes_of(harness) == [
        "/both/{name}",
        "/other",
        "/shop/{id}/both/{name}",
        "/shop/{id}/other",
        "/both/{number}",
    ]


def test_flask_keeps_its_routes(harness: Harness) -> None:
    """As the others do."""
    app = Flask("orders")
    app.add_url_rule("/orders/<int:number>", "one", lambda number: "one")
    app.add_url_rule("/metrics", "own", lambda: "mine")
    assert svcready.wrap(svcready.wrap(app)) is app

    assert ask_wsgi(app, "/orders/7").status == 200
    assert ask_wsgi(app, "/metrics").body == b"mine"

    assert routes_of(harness) == ["/orders/<int:number>", "/metrics"]


def test_a_callable_that_tells_nothing_is_told_about(harness: Harness) -> None:
    """`*args` may be either protocol's."""

    def hello(*given: Any) -> list[bytes]:
        given[1]("200 OK", [])
        return [b"hello"]

    async def hello_async(*given: Any) -> None:
        await given[2]({"type": "http.response.start", "status": 200, "headers": []})
        await given[2]({"type": "http.response.body", "body": b"hello"})

    with pytest.raises(DeclarationError, match="protocol="):
        svcready.wrap(hello)

    by_wsgi = ask_wsgi(svcready.wrap(hello, protocol="wsgi"))
    wrapped = svcready.wrap(hello_async, protocol="asgi")
    by_asgi = asyncio.run(ask_asgi(wrapped, http_scope()))

    assert by_wsgi.body == by_asgi.body == b"hello"
    assert len(harness.access_lines) == 2


@pytest.mark.parametrize(
    ("app", "options"),
    [
        (Flask("orders"), {"protocol": "asgi"}),
        (FastAPI(), {"protocol": "wsgi"}),
        (FastAPI(), {"route_of": lambda scope, base: "/x"}),
        (mine, {"protocol": "http"}),
        (object(), {"protocol": "asgi"}),
    ],
)
def test_contradictions_are_refused(app: Any, options: Any) -> None:
    """What cannot be right is said at once, not served."""
    with pytest.raises(DeclarationError, match="wrap"):
        svcready.wrap(app, **options)
