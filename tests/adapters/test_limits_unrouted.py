"""Limits on what never reaches a route: wrong tokens, and paths that nobody serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import svcready
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._limiting._store import Decision, Left, Store, Want
from svcready.resilience._limiting._unrouted import Exhausted
from svcready.testing import FakeClock, Harness
from tests.adapters.limits import Running, nothing_declared
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope


class Seeing:
    """A store that notes what is asked of it."""

    def __init__(self, store: Store, seen: list[Want]) -> None:
        self._store = store
        self._seen = seen

    def take(self, wants: Sequence[Want]) -> Decision:
        """Note it, and take it."""
        self._seen += wants
        return self._store.take(wants)

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Do as `take`."""
        return self.take(wants)


Ask = Callable[..., Reply]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers, but for who the caller is."""
    with nothing_declared():

        @svcready.resilience.resolver("tenant")
        def tenant(request: Any) -> str | None:
            return request.headers.get("x-token") or None

        yield


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
    seen: list[Want] = []
    with run("* 9/m by address") as harness:
        assert harness.runtime.resilience is not None
        limits = harness.runtime.resilience.limits.made()
        limits.store = Seeing(limits.store, seen)
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


def test_an_address_that_guessed_comes_one_by_one(
    run: Running, clock: FakeClock
) -> None:
    """Whoever makes many guesses at once, as soon as one is free again, makes one."""

    class Slow:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0)
            if Headers(scope=scope)["x-token"] == "bad":
                await JSONResponse({}, 401)(scope, receive, send)
            else:
                await self.app(scope, receive, send)

    with run("* 2/m by tenant") as harness:
        app = FastAPI(middleware=[Middleware(Slow)])
        app.get("/orders")(lambda: "ok")
        harness.runtime.attach(app)

        async def many(token: str) -> list[int]:
            scope = http_scope("/orders", headers=[(b"x-token", token.encode())])
            asked = (ask_asgi(app, dict(scope)) for _ in range(9))
            return [reply.status for reply in await asyncio.gather(*asked)]

        assert asyncio.run(many("bad")) == [401] * 9
        for _ in range(3):
            clock.advance(30.0)
            assert sorted(asyncio.run(many("bad"))) == [401] + [429] * 8

        clock.advance(30.0)
        assert asyncio.run(many("a")).count(200) == 1
        assert asyncio.run(many("b")).count(200) == 1


def test_an_outage_is_no_guess(run: Running) -> None:
    """Whoever asks while authentication is down is not locked out afterwards."""
    down = True

    class Fails:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            answer = JSONResponse({}, 503) if down else self.app
            await answer(scope, receive, send)

    with run("* 2/m by tenant") as harness:
        app = FastAPI(middleware=[Middleware(Fails)])
        app.get("/orders")(lambda: "ok")
        harness.runtime.attach(app)

        def ask() -> int:
            return asyncio.run(ask_asgi(app, http_scope("/orders"))).status

        assert [ask() for _ in range(5)] == [503] * 5
        down = False
        assert ask() == 200


def test_strangers_push_no_known_caller_out(run: Running) -> None:
    """Their buckets are apart, and what is kept of them is bounded."""
    clock = FakeClock()
    exhausted = Exhausted(clock)
    rate = Rate(1 / 60, 1)
    spent = Left(allowed=True, remaining=0, retry_after_s=0.0, full_after_s=60.0)
    for number in range(10_050):
        exhausted.took(Want(f"t:~{number}", rate, 1, "t~"), spent)

    exhausted.took(Want("t:~10000", rate, 1, "t~"), spent)  # which is known already
    known = [
        exhausted.left(Want(f"t:~{number}", rate, 1, "t~")) is not None
        for number in range(10_050)
    ]
    assert known == [False] * 50 + [True] * 10_000
    with run("* 2/m by tenant") as harness:
        assert harness.runtime.resilience is not None
        limits = harness.runtime.resilience.limits.made()
        seen: list[Want] = []
        limits.store = Seeing(limits.store, seen)
        limits.renew()
        ask = make_fastapi(harness)
        assert ask("/orders", token="bad").status == 401
        assert {want.limit for want in seen} == {"all-by-tenant~"}
