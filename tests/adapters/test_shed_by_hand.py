"""`LoadShed`, raised by applications: 503 in every framework, shedding on or off."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import svcready
from svcready.errors import LoadShed
from svcready.resilience._shed._by_hand import answer_to
from svcready.testing import Harness, running
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope

Ask = Callable[..., Reply]


def on_asgi(app: Any) -> Ask:
    """Return what asks an ASGI application."""
    return lambda path: asyncio.run(ask_asgi(app, http_scope(path)))


def on_wsgi(app: Any) -> Ask:
    """Return what asks a WSGI application."""
    return lambda path: ask_wsgi(app, path)


def shed() -> str:
    """Refuse."""
    raise LoadShed("reports", "full", retry_after=5)


def make_fastapi(harness: Harness) -> Ask:
    """An application whose endpoint refuses."""
    app = FastAPI()
    app.get("/reports/{kind}")(lambda kind: shed())
    harness.runtime.attach(app)
    return on_asgi(app)


def make_mounted(harness: Harness) -> Ask:
    """One whose mounted application does."""

    async def report(request: Any) -> PlainTextResponse:
        return PlainTextResponse(shed())

    inner = Starlette(routes=[Route("/{kind}", report)])
    app = Starlette(routes=[Mount("/reports", inner)])
    harness.runtime.attach(app)
    return on_asgi(app)


def make_flask(harness: Harness) -> Ask:
    """The same in Flask."""
    app = flask.Flask("orders")
    app.get("/reports/<kind>")(lambda kind: shed())
    harness.runtime.attach(app)
    return on_wsgi(app.wsgi_app)


def make_bare_asgi(harness: Harness) -> Ask:
    """A bare callable."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        shed()

    return on_asgi(svcready.wrap(app))


def make_bare_wsgi(harness: Harness) -> Ask:
    """A bare callable for threads."""
    return on_wsgi(svcready.wrap(lambda environ, start_response: [shed().encode()]))


every = pytest.mark.parametrize(
    "make", [make_fastapi, make_mounted, make_flask, make_bare_asgi, make_bare_wsgi]
)


@every
@pytest.mark.parametrize("shedding", ["off", "enforce"])
def test_it_is_answered_as_load_shedding_answers(
    make: Callable[[Harness], Ask], shedding: str
) -> None:
    """503, problem details and Retry-After; no error line, one access line, our ids."""
    with running(settings={"http.shedding": shedding}) as harness:
        ask = make(harness)
        reply = ask("/reports/daily")
        assert reply.status == 503
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["retry-after"] == "5"
        assert "x-request-id" in {name.lower() for name in reply.headers}
        problem = json.loads(reply.body)
        assert problem["type"].endswith("#temporary-reduced-capacity")
        assert "reports" not in reply.body.decode()
        levels = [line["level"] for line in harness.lines if "error" in line]
        assert levels == []
        statuses = [line["http"]["status"] for line in harness.access_lines]  # type: ignore[index]
        assert statuses == [503]


def test_an_application_may_answer_it_by_itself() -> None:
    """A handler that the application declares goes before ours."""
    app = FastAPI()
    app.get("/")(shed)

    async def answer(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("later", 429)

    app.add_exception_handler(LoadShed, answer)
    with running() as harness:
        harness.runtime.attach(app)
        assert on_asgi(app)("/").status == 429


def test_a_response_that_began_is_not_answered_again() -> None:
    """Then it is an error as any other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        shed()

    with running(), pytest.raises(LoadShed):
        on_asgi(svcready.wrap(app))("/")


@pytest.mark.parametrize(
    ("retry_after", "told"),
    [
        (None, {"1", "2", "3"}),
        (0.2, {"1"}),
        (4.1, {"5"}),
        (100, {str(n) for n in range(100, 111)}),
        *((wrong, {"1", "2", "3"}) for wrong in (0, -1, math.nan, math.inf, 1e300)),
        ("soon", {"1", "2", "3"}),
    ],
)
def test_when_to_come_again(retry_after: Any, told: set[str]) -> None:
    """As the application says, spread, or soon where it says nothing that can be."""
    for _ in range(20):
        headers = dict(answer_to(LoadShed("x", "full", retry_after)).headers)
        assert headers["retry-after"] in told
