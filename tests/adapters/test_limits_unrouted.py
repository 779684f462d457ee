"""Limits on what never reaches a route: wrong tokens, and paths that nobody serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import svcready
from svcready.testing import FakeClock, Harness, running
from tests.adapters.limits import nothing_declared
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope

Running = Callable[..., AbstractContextManager[Harness]]
Ask = Callable[..., Reply]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers, but for who the caller is."""
    with nothing_declared():

        @svcready.resilience.resolver("tenant")
        def tenant(request: Any) -> str | None:
            return request.headers.get("x-token") or None

        yield


@pytest.fixture
def clock() -> FakeClock:
    """Time that only the test moves."""
    return FakeClock()


@pytest.fixture
def run(clock: FakeClock) -> Running:
    """Start a runtime with these rules and further settings."""

    def begin(rules: str = "", **more: object) -> AbstractContextManager[Harness]:
        settings = {"http.rate_limits": rules, **more}
        return running(service="orders", settings=settings, clock=clock)

    return begin


class Authenticates:
    """Answers 401 to a token that is wrong, 200 to a preflight."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        token = dict(scope["headers"]).get(b"x-token", b"")
        if scope["method"] == "OPTIONS":
            await Response("")(scope, receive, send)
        elif token.startswith(b"bad"):
            await JSONResponse({}, 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def make_fastapi(harness: Harness) -> Ask:
    """Make an application whose middleware authenticates."""
    app = FastAPI(middleware=[Middleware(Authenticates)])
    app.get("/orders")(lambda: "ok")
    harness.runtime.attach(app)

    def ask(path: str, method: str = "GET", /, *, token: str, **more: Any) -> Reply:
        headers = [(b"x-token", token.encode())]
        scope = http_scope(path, method=method, headers=headers, **more)
        return asyncio.run(ask_asgi(app, scope))

    return ask


def make_flask(harness: Harness) -> Ask:
    """Make the same in Flask."""
    app = flask.Flask("orders")

    @app.before_request
    def authenticate() -> Any:
        token = flask.request.headers.get("x-token", "")
        if flask.request.method == "OPTIONS":
            return ""

        return ({}, 401) if token.startswith("bad") else None

    app.get("/orders")(lambda: "ok")
    harness.runtime.attach(app)

    def ask(path: str, method: str = "GET", /, *, token: str, **more: Any) -> Reply:
        environ = {"REQUEST_METHOD": method, "HTTP_X_TOKEN": token}
        if "client" in more:
            environ["REMOTE_ADDR"] = more["client"][0]

        return ask_wsgi(app.wsgi_app, path, **environ)

    return ask


both = pytest.mark.parametrize(
    "make", [make_fastapi, make_flask], ids=["fastapi", "flask"]
)


@both
def test_who_guesses_tokens_is_limited_by_address(
    run: Running, clock: FakeClock, make: Callable[[Harness], Ask]
) -> None:
    """Answers of middleware are charged, and then nothing is tried for that address."""
    with run("* 2/m by tenant as tenants") as harness:
        ask = make(harness)
        replies = [ask("/orders", token=f"bad{n}") for n in range(4)]
        assert [reply.status for reply in replies] == [401, 401, 429, 429]
        assert replies[1].headers["ratelimit"] == '"tenants";r=0;t=30'
        refused = replies[2]
        assert refused.headers["ratelimit"] == '"tenants";r=0;t=30'
        assert 30 <= int(refused.headers["retry-after"]) <= 33
        assert json.loads(refused.body)["violated-policies"] == ["tenants"]
        assert ask("/orders", token="right").status == 429
        assert ask("/orders", token="right", client=("10.0.0.8", 1)).status == 200
        clock.advance(30.0)
        assert ask("/orders", token="bad").status == 401
        assert ask("/orders", token="bad").status == 429


@both
def test_who_is_known_pays_nothing_by_address(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """Neither those at their route, whoever they are, nor preflights, cost guesses."""
    with run("* 2/m by tenant") as harness:
        ask = make(harness)
        assert [ask("/orders", token="a").status for _ in range(3)] == [200, 200, 429]
        assert [ask("/orders", token="").status for _ in range(3)] == [200, 200, 429]
        assert {ask("/orders", "OPTIONS", token="").status for _ in range(5)} == {200}
        assert ask("/orders", token="b").status == 200
        assert [ask("/orders", token="bad").status for _ in range(3)] == [401, 401, 429]


@both
def test_observing_guesses_refuses_none(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """They are counted as what would be refused."""
    more = {"limit.tenants.mode": "observe"}
    with run("* 2/m by tenant as tenants", **more) as harness:
        ask = make(harness)
        assert {ask("/orders", token="bad").status for _ in range(5)} == {401}
        assert harness.runtime.resilience is not None
        counts = {
            count.what: count.total
            for count in harness.runtime.resilience.calls()
            if count.kind == "limit"
        }
        assert (counts["success"], counts["observed"]) == (2, 3)


@both
def test_rules_for_everybody_are_nothing_to_strangers(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """A limit on a route is not used up by those who never get there."""
    with run("* 2/m by route") as harness:
        ask = make(harness)
        assert {ask("/orders", token="bad").status for _ in range(5)} == {401}
        assert ask("/orders", token="a").status == 200


def test_errors_of_middleware_are_charged(run: Running) -> None:
    """An application that fails at a wrong token is no way around."""

    class Fails:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise LookupError

    with run("* 2/m by tenant") as harness:
        app = FastAPI(middleware=[Middleware(Fails)])
        harness.runtime.attach(app)
        flasked = flask.Flask("orders")

        def fail(environ: Any, start: Any) -> Any:
            raise LookupError

        flasked.wsgi_app = fail  # type: ignore[assignment,method-assign]
        harness.runtime.attach(flasked)

        def ask() -> Reply:
            return asyncio.run(ask_asgi(app, http_scope("/")))

        for _ in range(2):
            with pytest.raises(LookupError):
                ask()

        assert ask().status == 429
        assert ask_wsgi(flasked.wsgi_app).status == 429
        for _ in range(2):
            with pytest.raises(LookupError):
                ask_wsgi(flasked.wsgi_app, REMOTE_ADDR="10.0.0.8")

        assert ask_wsgi(flasked.wsgi_app, REMOTE_ADDR="10.0.0.8").status == 429


@both
def test_without_such_rules_nothing_is_owed(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """By address alone, a request is asked once."""
    seen: list[object] = []

    class Asked:
        def take(self, wants: Any) -> Any:
            seen.append(wants)
            return inner.take(wants)

        async def take_async(self, wants: Any) -> Any:
            return self.take(wants)

    with run("* 9/m by address") as harness:
        assert harness.runtime.resilience is not None
        limits = harness.runtime.resilience.limits.made()
        inner, limits.store = limits.store, Asked()
        limits.renew()
        ask = make(harness)
        assert ask("/orders", token="bad").status == 401
        assert len(seen) == 1


def test_a_request_that_starlette_takes_is_asked_there(run: Running) -> None:
    """Paths of no route are asked where a resolver can tell whose they are."""
    with run("* 2/m by tenant") as harness:
        ask = make_fastapi(harness)
        assert [ask("/none", token="a").status for _ in range(3)] == [404, 404, 429]
        assert ask("/none", token="b").status == 404
