"""Limits before applications: who is refused, what they are told, what is left out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import flask
import http_sf
import pytest
from fastapi import Depends, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Host, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import svcready
from svcready.adapters._clients import client_reader
from svcready.config._rate_limits import RATE_RULES
from svcready.errors import DeclarationError, RateLimited
from svcready.resilience import Limit, LimitMoved
from svcready.resilience._limiting._limit_keys import address_key
from svcready.resilience._limiting._pressure import Pressure
from svcready.resilience._limiting._store import Decision, Want
from svcready.testing import FakeClock, Harness, running
from tests.adapters.limits import Running, nothing_declared
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope
from tests.conftest import Faults

Ask = Callable[..., Reply]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


def counts(harness: Harness) -> dict[tuple[str, str], int]:
    """Return how many requests had each outcome, by limit."""
    assert harness.runtime.resilience is not None
    return {
        (count.name, count.what): count.total
        for count in harness.runtime.resilience.calls()
        if count.kind == "limit" and count.total
    }


def access(harness: Harness) -> list[dict[str, Any]]:
    """Return what access lines say of HTTP."""
    lines: list[Any] = [line["http"] for line in harness.lines if "http" in line]
    return lines


def fastapi_asker(app: Any) -> Ask:
    """Return what sends one request to an ASGI application."""

    def ask(path: str, method: str = "GET", /, **headers: str) -> Reply:
        pairs = [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in headers.items()
        ]
        return asyncio.run(
            ask_asgi(app, http_scope(path, method=method, headers=pairs))
        )

    return ask


def flask_asker(app: Any) -> Ask:
    """Return what sends one request to a WSGI application."""

    def ask(path: str, method: str = "GET", /, **headers: str) -> Reply:
        environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        return ask_wsgi(app, path, REQUEST_METHOD=method, **environ)

    return ask


def make_fastapi(harness: Harness) -> Ask:
    """Make an application with two routes and a mount."""
    app = FastAPI()

    @app.get("/orders/{order_id}")
    async def order(order_id: int) -> int:
        return order_id

    @app.post("/orders")
    def create() -> str:
        return "made"

    async def inner(request: Request) -> Any:
        return Response(request.url.path)

    app.router.routes.append(Mount("/sub", routes=[Route("/{name}", inner)]))
    harness.runtime.attach(app)
    return fastapi_asker(app)


def make_flask(harness: Harness) -> Ask:
    """Make the same in Flask, as far as it goes."""
    app = flask.Flask("orders")

    @app.get("/orders/<int:order_id>")
    def order(order_id: int) -> str:
        return str(order_id)

    @app.post("/orders")
    def create() -> str:
        return "made"

    harness.runtime.attach(app)
    return flask_asker(app.wsgi_app)


both = pytest.mark.parametrize(
    "make", [make_fastapi, make_flask], ids=["fastapi", "flask"]
)


def shown(reply: Reply, field: str = "ratelimit") -> list[tuple[str, dict[str, Any]]]:
    """Return a RateLimit field as a parser of structured fields reads it."""
    items: Any = http_sf.parse(reply.headers[field].encode(), tltype="list")
    return list(items)


@both
def test_a_rule_of_the_operator_limits_by_address(
    run: Running, clock: FakeClock, make: Callable[[Harness], Ask]
) -> None:
    """Two a minute pass, the third is a problem with fields, and time lets one in."""
    with run("POST /orders 2/m by address as writes") as harness:
        ask = make(harness)
        assert shown(ask("/orders", "POST")) == [("writes", {"r": 1, "t": 30})]
        assert ask("/orders", "POST").status == 200
        refused = ask("/orders", "POST")
        assert refused.status == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 30 <= int(refused.headers["retry-after"]) <= 33
        assert shown(refused) == [("writes", {"r": 0, "t": 30})]
        assert shown(refused, "ratelimit-policy") == [("writes", {"q": 2, "w": 60})]
        assert refused.headers["x-request-id"]
        problem = json.loads(refused.body)
        assert problem["violated-policies"] == ["writes"]
        assert problem["type"].endswith("#quota-exceeded")
        assert "ratelimit" not in ask("/orders/7").headers
        clock.advance(30.0)
        assert ask("/orders", "POST").status == 200
        assert counts(harness) == {("writes", "success"): 3, ("writes", "rejected"): 1}


@both
def test_a_rule_is_for_a_route_and_not_for_a_path(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """All paths of a route share its limit, whatever is in them, and HEAD does, too."""
    with run("GET /orders/* 3/m by address") as harness:
        ask = make(harness)
        statuses = [ask(f"/orders/{number}").status for number in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = ask("/orders/9", "HEAD")
        assert (refused.status, refused.body) == (429, b"")
        assert ask("/orders", "POST").status == 200
        assert ask("/nothing").status == 404


@both
def test_refusals_are_seen_in_access_lines_and_metrics(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """Method, template and 429, as of a request that the application answered."""
    with run("GET /orders/* 1/m by address as reads") as harness:
        ask = make(harness)
        ask("/orders/1")
        ask("/orders/2")
        lines = access(harness)
        assert [line["status"] for line in lines] == [200, 429]
        assert lines[0]["route"] == lines[1]["route"]
        assert lines[1]["route"].startswith("/orders/")
        assert harness.logged("limit reads refuses requests")
        assert harness.runtime.metrics is not None
        snapshot = harness.runtime.metrics.snapshot()
        text = {family.name: family for family in snapshot.families}
        calls = text["svcready_resilience_calls"]
        assert ("limit", "reads", "rejected") in {
            tuple(point.labels) for point in calls.points
        }
        moves = text["svcready_resilience_transitions"]
        assert ("reads", "passing", "refusing", "rejected") in {
            tuple(point.labels) for point in moves.points
        }


@both
def test_probes_and_metrics_are_never_limited(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """Operators' paths come before every limit, and take nothing of one."""
    with run("* 1/h by all") as harness:
        ask = make(harness)
        assert ask("/orders/1").status == 200
        for _ in range(3):
            assert ask("/health/liveness").status == 200
            assert ask("/metrics").status == 200

        assert ask("/orders/1").status == 429


@both
def test_headers_and_addresses_tell_callers_apart(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """Each key has its share, and those without one go by address, as one."""
    with run("* 1/m by header:X-API-Key") as harness:
        ask = make(harness)
        assert ask("/orders/1", x_api_key="a").status == 200
        assert ask("/orders/1", x_api_key="b").status == 200
        assert ask("/orders/1", x_api_key="a").status == 429
        assert ask("/orders/1").status == 200
        assert ask("/orders/1").status == 429
        assert ask("/orders/1", x_api_key="a10.0.0.9").status == 200


@both
def test_all_rules_of_a_request_are_taken_or_none(
    run: Running, clock: FakeClock, make: Callable[[Harness], Ask]
) -> None:
    """What one rule refuses costs the others nothing, before the route and at it."""
    rules = "* 10/h by address as early; POST /orders 1/m by route as late"
    with run(rules) as harness:
        ask = make(harness)
        first = ask("/orders", "POST")
        assert [name for name, _ in shown(first)] == ["late", "early"]
        for _ in range(5):
            refused = ask("/orders", "POST")
            assert refused.status == 429
            assert dict(shown(refused))["early"]["r"] == 9
            assert json.loads(refused.body)["violated-policies"] == ["late"]

        clock.advance(60.0)
        assert dict(shown(ask("/orders", "POST")))["early"]["r"] == 8


@both
def test_a_resolver_tells_whose_request_it_is(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """It gets the framework's request at the route; nobody known goes by address."""

    @svcready.resilience.resolver("tenant")
    def tenant(request: Any) -> str | None:
        found = request.headers.get("x-tenant")
        assert found != "boom"
        return found or None

    with run("* 2/m by tenant") as harness:
        ask = make(harness)
        assert harness.runtime.resilience is not None
        assert harness.runtime.resilience.problems() == ()
        assert [ask("/orders/1", x_tenant="a").status for _ in range(3)] == [
            200,
            200,
            429,
        ]
        assert ask("/orders/1", x_tenant="b").status == 200
        assert [ask("/orders/1").status for _ in range(3)] == [200, 200, 429]


@both
def test_a_rule_that_says_nobody_limits_by_address(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """It is by client, of whom nothing but the address is known without resolvers."""
    with run("* 2/m") as harness:
        ask = make(harness)
        assert [ask("/orders/1").status for _ in range(3)] == [200, 200, 429]


@both
def test_a_rule_without_its_resolver_is_reported_and_limits_by_address(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """It is a problem that names what to declare, and never an unlimited route."""
    with run("* 1/m by tenant") as harness:
        ask = make(harness)
        assert ask("/orders/1").status == 200
        assert ask("/orders/1").status == 429
        (problem,) = harness.runtime.problems()
        assert problem == (
            "limit all-by-tenant is by tenant, and no resolver is called so: it limits "
            "by address instead; declare svcready.resilience.resolver('tenant')"
        )


def test_a_resolver_that_fails_limits_by_address(run: Running, faults: Faults) -> None:
    """Its error is counted and goes no further; awaited on WSGI, it fails, too."""

    @svcready.resilience.resolver("tenant")
    async def tenant(request: Request) -> str:
        raise LookupError(request.url.path)

    with run("* 1/m by tenant") as harness:
        ask = make_fastapi(harness)
        assert [ask("/orders/1").status for _ in range(2)] == [200, 429]
        assert make_flask(harness)("/orders/1").status == 429

    for error in (LookupError, LookupError, DeclarationError):
        assert error.__name__ in repr(faults.claim("limits.resolver"))


def test_an_async_resolver_is_awaited(run: Running) -> None:
    """A coroutine function tells on ASGI, behind the application's own middleware."""

    class Authenticates:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("state", {})["user"] = dict(scope["headers"])[b"x-user"]
            await self.app(scope, receive, send)

    @svcready.resilience.resolver("principal")
    async def principal(request: Request) -> str:
        await asyncio.sleep(0)
        return str(request.state.user)

    with run("* 1/m") as harness:
        app = FastAPI(middleware=[Middleware(Authenticates)])
        app.get("/")(lambda: "ok")
        harness.runtime.attach(app)
        ask = fastapi_asker(app)
        statuses = [ask("/", x_user=user).status for user in ("a", "b", "a", "c")]
        assert statuses == [200, 200, 429, 200]


def test_an_async_resolver_tells_a_limit_on_a_plain_function(
    run: Running, faults: Faults
) -> None:
    """Its thread waits for the loop; on the loop's own thread that is an error."""
    asked: list[object] = []

    @svcready.resilience.resolver("tenant")
    async def tenant(request: Request) -> str:
        asked.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return request.headers["x-tenant"]

    with run() as harness:
        app = FastAPI()
        harness.runtime.attach(app)
        limited = svcready.limit("1/m", by="tenant", name="reads")

        @app.get("/sync")
        @limited
        def read() -> str:
            return "ok"

        @limited
        def inner() -> str:
            return "ok"

        @app.get("/async")
        async def read_on_loop() -> str:
            return inner()

        ask = fastapi_asker(app)
        statuses = [ask("/sync", x_tenant=name).status for name in ("a", "b", "a")]
        assert statuses == [200, 200, 429]
        assert len(asked) == 3
        # Both go by address, as one.
        assert [ask("/async", x_tenant=name).status for name in "cd"] == [200, 429]

    for _ in range(2):
        error = faults.claim("limits.resolver")
        assert isinstance(error, DeclarationError)
        assert "resolver 'tenant' of a limit: it is async" in str(error)


@both
def test_observe_counts_and_refuses_nothing(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """An operator sees what would be refused; callers see no field of it."""
    with run("* 1/m by address as trial", **{"limit.trial.mode": "observe"}) as harness:
        ask = make(harness)
        replies = [ask("/orders/1") for _ in range(3)]
        assert {reply.status for reply in replies} == {200}
        assert "ratelimit" not in replies[0].headers
        assert counts(harness) == {("trial", "success"): 1, ("trial", "observed"): 2}
        assert harness.logged("limit trial would refuse requests")


@both
def test_an_operator_tunes_a_limit_by_its_name(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """Rate, burst and mode of a rule and of a decorator have variables."""
    more = {"limit.trial.rate": "5/m", "limit.trial.burst": 3}
    with run("* 1/m by address as trial", **more) as harness:
        ask = make(harness)
        statuses = [ask("/orders/1").status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]

    with run("* 1/m by address as trial", **{"limit.trial.mode": "off"}) as harness:
        ask = make(harness)
        assert {ask("/orders/1").status for _ in range(4)} == {200}


@pytest.mark.parametrize("is_early", [True, False])
def test_a_rule_and_a_limit_of_one_name_are_two(run: Running, is_early: bool) -> None:
    """Whichever comes first, the rule is called so that callers can tell them apart."""

    def declare() -> Limit:
        return svcready.limit("5/m", by="address", name="orders")

    if is_early:
        declare()

    more = {"limit.orders.burst": 4, "limit.orders-rule.burst": 3}
    with run("* 9/m by address as orders", **more) as harness:
        app = flask.Flask("orders")
        harness.runtime.attach(app)
        app.get("/")(declare()(lambda: "ok"))
        ask = flask_asker(app.wsgi_app)
        told = dict(shown(ask("/")))
        assert (told["orders"]["r"], told["orders-rule"]["r"]) == (3, 2)
        assert [ask("/").status for _ in range(3)] == [200, 200, 429]


@both
def test_the_fields_are_the_operators_choice(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """X-RateLimit-* are opt-in, as is a hash of whose share it is."""
    options = {"http.rate_limit_headers": ["legacy"]}
    with run("* 5/m by address", **options) as harness:
        reply = make(harness)("/orders/1")
        assert "ratelimit" not in reply.headers
        assert reply.headers["x-ratelimit-limit"] == "5"
        assert reply.headers["x-ratelimit-remaining"] == "4"
        assert reply.headers["x-ratelimit-reset"] == "12"

    options = {"http.rate_limit_headers": ["ratelimit", "partition-key"]}
    with run("* 5/m by address", **options) as harness:
        ((_, told),) = shown(make(harness)("/orders/1"))
        assert len(told["pk"]) == 16
        assert b"10.0.0.9" not in told["pk"]


def current_user(request: Request) -> str:
    """Authenticate, as a dependency of FastAPI does."""
    request.state.user = request.headers["x-user"]
    return str(request.state.user)


def test_a_decorated_route_of_fastapi(run: Running) -> None:
    """Sync and async endpoints keep their signatures; dependencies come first."""
    with run() as harness:
        app = FastAPI()
        harness.runtime.attach(app)  # before the routes, as `init(app=app)` is

        @svcready.resilience.resolver("user")
        def who(request: Request) -> str:
            return str(request.state.user)

        @app.get("/async/{number}")
        @svcready.limit("2/minute", by="user", name="reads")
        async def read(number: int, user: Annotated[str, Depends(current_user)]) -> str:
            return f"{number} {user}"

        @app.get("/sync")
        @svcready.limit("2/minute", by="user", name="reads", cost=2)
        def read_all(user: Annotated[str, Depends(current_user)]) -> str:
            return user

        ask = fastapi_asker(app)
        assert ask("/async/7", x_user="a").body == b'"7 a"'
        assert ask("/sync", x_user="a").status == 429
        assert ask("/sync", x_user="b").status == 200
        refused = ask("/async/7", x_user="b")
        assert refused.status == 429
        assert shown(refused) == [("reads", {"r": 0, "t": 30})]
        assert json.loads(refused.body)["violated-policies"] == ["reads"]
        lines = access(harness)
        assert [line["route"] for line in lines[:2]] == ["/async/{number}", "/sync"]


def test_a_limit_that_is_called_often_is_told_of_once(run: Running) -> None:
    """Each policy is one item of the fields, as it stands at the end, and no more."""
    with run("* 10/m by address as early; GET /batch 9/m by route as late") as harness:
        app = FastAPI()
        harness.runtime.attach(app)
        item = svcready.limit("100/minute", by="all", name="items", cost=3)

        @app.get("/batch")
        def batch() -> int:
            return sum(item.call(int, "1") for _ in range(20))

        reply = fastapi_asker(app)("/batch")
        assert reply.body == b"20"
        assert sorted((name, told["r"]) for name, told in shown(reply)) == [
            ("early", 9),
            ("items", 40),
            ("late", 8),
        ]
        policies = [name for name, _ in shown(reply, "ratelimit-policy")]
        assert sorted(policies) == ["early", "items", "late"]


def test_a_decorated_route_in_a_mounted_application(run: Running) -> None:
    """The answer is the same there, although it has handlers of its own."""
    with run() as harness:
        inner, app = FastAPI(), FastAPI()

        @inner.get("/in")
        @svcready.limit("1/minute", by="address", name="inner")
        async def read() -> str:
            return "in"

        app.mount("/sub", inner)
        harness.runtime.attach(app)
        ask = fastapi_asker(app)
        assert [ask("/sub/in").status for _ in range(2)] == [200, 429]


def limited_app(name: str) -> FastAPI:
    """Return an application with one limited route."""
    app = FastAPI()

    @app.get("/in")
    @svcready.limit("1/minute", by="address", name=name)
    async def read() -> str:
        return "in"

    return app


class Passes:
    """Middleware that hides what it is around."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self.app(scope, receive, send)


def test_a_decorated_route_wherever_it_is(run: Running) -> None:
    """Below a host, inside middleware, and mounted when requests came already."""
    with run() as harness:
        hosting = FastAPI()
        hosting.router.routes.append(Host("h", limited_app("below-host")))
        harness.runtime.attach(hosting)
        ask = fastapi_asker(hosting)
        assert [ask("/in", host="h").status for _ in range(2)] == [200, 429]

        wrapping = FastAPI()
        wrapping.mount("/sub", Passes(limited_app("wrapped")))
        harness.runtime.attach(wrapping)
        ask = fastapi_asker(wrapping)
        assert [ask("/sub/in").status for _ in range(2)] == [200, 429]

        growing = FastAPI()
        harness.runtime.attach(growing)
        ask = fastapi_asker(growing)
        assert ask("/").status == 404
        growing.mount("/sub", limited_app("later"))
        assert [ask("/sub/in").status for _ in range(2)] == [200, 429]
        assert not [line for line in harness.lines if line["level"] == "ERROR"]


def test_a_decorated_view_of_flask(run: Running) -> None:
    """The view's refusal is the answer, and no error is logged."""
    with run() as harness:
        app = flask.Flask("orders")
        harness.runtime.attach(app)

        @app.get("/read")
        @svcready.limit("1/minute", by="header:x-api-key", name="reads")
        def read() -> str:
            return "ok"

        ask = flask_asker(app.wsgi_app)
        assert ask("/read", x_api_key="a").status == 200
        refused = ask("/read", x_api_key="a")
        assert refused.status == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert ask("/read", x_api_key="b").status == 200
        assert not [line for line in harness.lines if line["level"] == "ERROR"]


def test_a_decorated_view_of_flask_inside_another(run: Running) -> None:
    """An application behind a dispatcher answers the same."""
    with run() as harness:
        inner, app = flask.Flask("inner"), flask.Flask("orders")

        @inner.get("/read")
        @svcready.limit("1/minute", by="address", name="inner")
        def read() -> str:
            return "ok"

        app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
            app.wsgi_app, {"/sub": inner.wsgi_app}
        )
        harness.runtime.attach(app)
        ask = flask_asker(app.wsgi_app)
        assert [ask("/sub/read").status for _ in range(2)] == [200, 429]


def test_bare_callables_are_limited_in_the_adapter(run: Running) -> None:
    """They declare no routes: rules hold for their raw paths, keys never do."""
    limited = svcready.limit("1/minute", by="address", name="inside")

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    @limited
    async def limited_asgi(scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"ok"]

    @svcready.resilience.resolver("tenant")
    def tenant(given: Any) -> str | None:
        return "t" if "HTTP_X_TENANT" in given else None

    with run("GET /files/* 2/m by address; /late 1/m by tenant") as harness:
        for ask in (
            fastapi_asker(svcready.wrap(asgi)),
            flask_asker(svcready.wrap(wsgi)),
        ):
            statuses = [ask(f"/files/{name}").status for name in "abc"]
            assert statuses == [200, 200, 429]
            assert ask("/other").status == 200
            assert ask("/late").status == 200
            assert ask("/late").status == 429
            harness.runtime.resilience.limits.made().store.forget()  # type: ignore[attr-defined]

        ask = fastapi_asker(svcready.wrap(limited_asgi))
        assert [ask("/x").status for _ in range(2)] == [200, 429]

        @limited
        def limited_wsgi(environ: Any, start_response: Any) -> list[bytes]:
            return wsgi(environ, start_response)

        ask = flask_asker(svcready.wrap(limited_wsgi))
        assert ask("/x").status == 429


def test_outside_requests_only_what_all_share_is_limited(run: Running) -> None:
    """A worker has no callers; a limit on everybody holds, and raises."""
    per_caller = svcready.limit("1/minute", name="each")
    shared = svcready.limit("1/minute", by="all", name="everybody")
    with run():
        assert [per_caller.call(int) for _ in range(3)] == [0, 0, 0]
        assert shared.call(int) == 0
        with pytest.raises(RateLimited) as caught:
            shared.call(int)

        assert (caught.value.name, caught.value.reason) == ("everybody", "rate")
        assert caught.value.retry_after == pytest.approx(60.0)
        with pytest.raises(RateLimited), shared:
            pass

        async def main() -> None:
            with pytest.raises(RateLimited):
                async with shared.guard():
                    pass

        asyncio.run(main())


def test_without_limits_requests_ask_nothing(run: Running) -> None:
    """The plan has no admission until there is the first limit."""
    with run() as harness:
        ask = make_flask(harness)
        assert harness.runtime.resilience is not None
        assert harness.runtime.resilience.inbound() is None
        assert "ratelimit" not in ask("/orders/1").headers
        svcready.limit("1/m", name="late")
        assert harness.runtime.resilience.inbound() is not None


@both
def test_an_application_is_told_before_it_refuses(
    run: Running, make: Callable[[Harness], Ask], faults: Faults
) -> None:
    """From four fifths on, once a second; what a callback raises goes no further."""
    told: list[Pressure] = []
    svcready.on_pressure(told.append)

    @svcready.on_pressure
    def fails(pressure: Pressure) -> None:
        raise LookupError

    with run("* 10/h by address as reads") as harness:
        ask = make(harness)
        for _ in range(7):
            ask("/orders/1")

        assert not told
        assert svcready.pressure() == pytest.approx(0.7)
        for _ in range(2):
            ask("/orders/1")

    assert str(faults.claim("on_pressure")).startswith("LookupError in ")
    ((source, name, level),) = told
    assert (source, name) == ("limit", "reads")
    assert level == pytest.approx(0.8)


def test_a_handler_sees_the_pressure_of_its_own_caller(run: Running) -> None:
    """Within a request it is that caller's share, whatever others have used."""
    seen: list[float] = []
    with run("* 4/h by header:x-user") as harness:
        app = FastAPI()
        app.get("/")(lambda: seen.append(svcready.pressure()))
        harness.runtime.attach(app)
        ask = fastapi_asker(app)
        for user in ("a", "a", "a", "b"):
            ask("/", x_user=user)

    assert seen == [0.25, 0.5, 0.75, 0.25]


def test_on_pressure_takes_plain_functions() -> None:
    """What would have to be awaited is refused at declaration."""

    async def later(pressure: Pressure) -> None:
        """Never be called."""

    with pytest.raises(DeclarationError, match="plain function"):
        svcready.on_pressure(later)


def test_transitions_are_told_once_and_when_it_is_quiet_again(
    run: Running, clock: FakeClock
) -> None:
    """A flood of refusals is one event, and ten quiet seconds are another."""
    from svcready._core.events import subscribe

    moves: list[LimitMoved] = []
    end = subscribe(LimitMoved, moves.append)
    with run("* 1/s by address as reads") as harness:
        ask = make_flask(harness)
        for _ in range(50):
            ask("/orders/1")

        clock.advance(9.0)
        ask("/orders/1")
        assert [(move.before, move.after) for move in moves] == [
            ("passing", "refusing")
        ]
        clock.advance(1.0)
        ask("/orders/1")
        assert moves[1:] == [LimitMoved("reads", "refusing", "passing", "quiet")]

    end()


def test_no_key_value_is_in_any_telemetry(run: Running) -> None:
    """Neither the API key nor the tenant is on a line, in a label or in a field."""

    @svcready.resilience.resolver("tenant")
    def tenant(request: Any) -> str:
        return "tenant-zulu"

    options = {"http.rate_limit_headers": ["ratelimit", "legacy", "partition-key"]}
    rules = "* 2/m by header:x-api-key; * 2/m by tenant"
    with run(rules, **options) as harness:
        ask = make_fastapi(harness)
        replies = [ask("/orders/1", x_api_key="k3y-zulu") for _ in range(5)]
        text = repr(harness.lines) + repr([reply.headers for reply in replies])
        assert harness.runtime.metrics is not None
        text += repr(list(harness.runtime.metrics.snapshot().families))
        text += repr([reply.body for reply in replies])
        assert "zulu" not in text
        assert replies[-1].status == 429


class Broken:
    """A store that fails in a way of its own."""

    def take(self, wants: Sequence[Want]) -> Decision:
        """Fail."""
        raise LookupError

    async def take_async(self, wants: Sequence[Want]) -> Decision:
        """Fail."""
        raise LookupError


@both
def test_a_store_with_a_fault_still_limits(
    run: Running, make: Callable[[Harness], Ask], faults: Faults
) -> None:
    """What it raises is reported, and this process's own buckets are asked."""
    with run("* 2/m by address") as harness:
        assert harness.runtime.resilience is not None
        limits = harness.runtime.resilience.limits.made()
        limits.store = Broken()
        limits.renew()
        ask = make(harness)
        assert [ask("/orders/1").status for _ in range(3)] == [200, 200, 429]

    for _ in range(3):
        assert type(faults.claim("limits.store")) is LookupError


def test_a_wrong_rule_is_reported_and_the_others_hold(run: Running) -> None:
    """The variable's message names the rule and what is allowed."""
    environ = {"SVCREADY_HTTP_RATE_LIMITS": "FETCH / 1/s; * 1/m by address"}
    with running(service="orders", environ=environ, clock=FakeClock()) as harness:
        ask = make_flask(harness)
        (problem,) = harness.runtime.problems()
        assert "'FETCH / 1/s'" in problem
        assert "the rest is used" in problem
        assert [ask("/orders/1").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": "many"}, "rate='many'"),
        ({"rate": "5/s", "by": "a b"}, "by='a b'"),
        ({"rate": "5/s", "by": "header:"}, "by='header:'"),
        ({"rate": "5/s", "cost": -1}, "cost=-1"),
        ({"rate": "5/s", "cost": True}, "cost=True"),
        ({"rate": "5/s", "cost": 6}, "nobody could ever pay"),
        ({"rate": "5/s", "name": "A B"}, "limit name"),
    ],
)
def test_what_code_says_wrongly_raises(arguments: dict[str, Any], message: str) -> None:
    """At declaration, with the value."""
    with pytest.raises(DeclarationError, match=message):
        svcready.limit(**arguments)


def test_a_name_means_one_limit() -> None:
    """Equal arguments share it at any cost, others raise and show both places."""
    one = svcready.limit("5/s", name="one", cost=2)
    assert isinstance(one, Limit)
    assert svcready.limit("5/s", name="one").limiter is one.limiter
    assert svcready.resilience.get_limit("one").limiter is one.limiter
    with pytest.raises(DeclarationError, match=r"test_limits\.py:\d+ with other"):
        svcready.limit("6/s", name="one")

    with pytest.raises(KeyError):
        svcready.resilience.get_limit("two")

    with pytest.raises(DeclarationError, match="means something else"):
        svcready.resilience.resolver("address")


def test_spoofed_headers_change_nobody(run: Running) -> None:
    """With one trusted hop the address is the last one, whatever a client writes."""
    with run("* 1/m by address", **{"http.trusted_hops": 1}) as harness:
        ask = make_flask(harness)
        spoofed = [f"{n}.1.1.1, 203.0.113.7" for n in range(5)]
        statuses = [ask("/orders/1", x_forwarded_for=text).status for text in spoofed]
        assert statuses == [200, 429, 429, 429, 429]
        assert ask("/orders/1", x_forwarded_for="203.0.113.8").status == 200
        assert ask("/orders/1", forwarded="for=1.2.3.4").status == 200  # the peer

    with run("* 1/m by address") as harness:
        ask = make_flask(harness)
        statuses = [
            ask("/orders/1", x_forwarded_for=f"{n}.1.1.1").status for n in range(3)
        ]
        assert statuses == [200, 429, 429]


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ('for=9.9.9.9, for="203.0.113.7:80";by=_proxy', "203.0.113.7"),
        ('for="9.9.9.9, for=203.0.113.7', "203.0.113.7"),  # a quotation mark left open
        ("for=9.9.9.9, proto=https", "peer"),
        ("for=1.1.1.1;for=2.2.2.2", "peer"),
        ("for=1.1.1.1, nonsense", "peer"),
        ("", "peer"),
    ],
)
def test_forwarded_is_read_from_the_right(header: str, client: str) -> None:
    """What our proxy appended counts, and what does not parse is the peer."""
    assert client_reader(1, "forwarded")("peer", header) == client


@given(
    st.text(alphabet='for=";, 1.:[]abc', max_size=60),
    st.sampled_from(["x-forwarded-for", "forwarded"]),
)
def test_nothing_further_left_reaches_what_our_proxy_wrote(
    forged: str, header: str
) -> None:
    """Whatever a client sends, the last element is read as if it were alone."""
    read = client_reader(1, header)
    ours = "for=203.0.113.7" if header == "forwarded" else "203.0.113.7"
    assert read("peer", f"{forged}, {ours}") == "203.0.113.7"


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1::1", "20010db800000001::/64"),
        ("2001:db8:0:1:ffff::2", "20010db800000001::/64"),
        ("[2001:db8:0:2::1]:80", "20010db800000002::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("unknown", "-"),
        ("", "-"),
        (None, "-"),
        ("1" * 5000, "-"),
    ],
)
def test_addresses_as_keys(client: str | None, key: str) -> None:
    """IPv6 by its network of 64 bits; what is no address has one key for all."""
    assert address_key(client).replace("2001db8", "20010db8") == key


def test_a_changed_file_changes_rules_and_keeps_what_was_used(
    run: Running, clock: FakeClock
) -> None:
    """Another rate holds at once, for callers who have used what they have used."""
    with run("* 3/h by address as reads") as harness:
        ask = make_flask(harness)
        assert dict(shown(ask("/orders/1")))["reads"]["r"] == 2
        runtime = harness.runtime
        rules = RATE_RULES.parse("* 60/h burst 2 by address as reads; /new 1/h")
        http = dataclasses.replace(runtime.settings.http, rate_limits=rules)
        runtime.settings = dataclasses.replace(runtime.settings, http=http)
        runtime.apply_reloaded()
        refused = ask("/orders/1")
        assert refused.status == 429
        assert shown(refused, "ratelimit-policy") == [("reads", {"q": 2, "w": 120})]
        assert 60 <= int(refused.headers["retry-after"]) <= 66  # as by the new rate
        clock.advance(60.0)
        assert ask("/orders/1").status == 200
        assert counts(harness) == {("reads", "success"): 2, ("reads", "rejected"): 1}


def test_threads_share_a_limit_exactly(run: Running) -> None:
    """Two hundred requests of eight threads: the burst passes, and not one more."""
    statuses: list[int] = []
    with run("* 50/h by all") as harness:
        ask = make_flask(harness)
        start = threading.Barrier(8)

        def send() -> None:
            start.wait()
            statuses.extend(ask("/orders/1").status for _ in range(25))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()

        assert sorted(set(statuses)) == [200, 429]
        assert statuses.count(200) == 50
        assert counts(harness)["all-by-all", "rejected"] == 150
