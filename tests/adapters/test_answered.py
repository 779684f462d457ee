"""Refusals and time-outs of policies that no code handles: 503 and 504, not 500."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from typing import Any

import flask
import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

import svcready
from svcready.errors import (
    AttemptTimeout,
    BulkheadFull,
    CircuitOpen,
    DeadlineExceeded,
    DeadlineSpent,
    LoadShed,
    RateLimited,
    Rejected,
    Throttled,
)
from svcready.testing import Harness, running
from tests.adapters.support import Reply, ask_asgi, ask_wsgi, http_scope

Ask = Callable[[], Reply]
ERRORS = [
    (CircuitOpen("payments", "open", 8.2), 503, "9"),
    (BulkheadFull("payments", "full"), 503, None),
    (RateLimited("payments", "rate", 0.2), 503, "1"),
    (Throttled("payments", "throttled"), 503, None),
    (DeadlineSpent("payments", "spent"), 504, ""),
    (AttemptTimeout("payments took longer than 2 s"), 504, ""),
    (DeadlineExceeded("payments took longer than 5 s"), 504, ""),
]


def throw(error: Exception) -> Any:
    """Raise it."""
    raise error


def make_fastapi(harness: Harness, error: Exception) -> Ask:
    """An application whose endpoint lets a policy's error up."""
    app = FastAPI()
    app.get("/pay")(lambda: throw(error))
    harness.runtime.attach(app)
    return lambda: asyncio.run(ask_asgi(app, http_scope("/pay")))


def make_mounted(harness: Harness, error: Exception) -> Ask:
    """One whose mounted application does."""

    async def pay(request: Any) -> PlainTextResponse:
        return PlainTextResponse(throw(error))

    inner = Starlette(routes=[Route("/", pay)])
    app = Starlette(routes=[Mount("/pay", inner)])
    harness.runtime.attach(app)
    return lambda: asyncio.run(ask_asgi(app, http_scope("/pay/")))


def make_flask(harness: Harness, error: Exception) -> Ask:
    """The same in Flask."""
    app = flask.Flask("orders")
    app.get("/pay")(lambda: throw(error))
    harness.runtime.attach(app)
    return lambda: ask_wsgi(app.wsgi_app, "/pay")


def make_bare_asgi(harness: Harness, error: Exception) -> Ask:
    """A bare callable."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        throw(error)

    wrapped = svcready.wrap(app)
    return lambda: asyncio.run(ask_asgi(wrapped, http_scope("/pay")))


def make_bare_wsgi(harness: Harness, error: Exception) -> Ask:
    """A bare callable for threads."""
    wrapped = svcready.wrap(lambda environ, start_response: [throw(error)])
    return lambda: ask_wsgi(wrapped, "/pay")


Make = Callable[[Harness, Exception], Ask]
every = pytest.mark.parametrize(
    "make", [make_fastapi, make_mounted, make_flask, make_bare_asgi, make_bare_wsgi]
)


@every
@pytest.mark.parametrize(("error", "status", "again"), ERRORS)
def test_what_is_answered(
    make: Make, error: Exception, status: int, again: str | None
) -> None:
    """Problem details, with Retry-After for refusals; nothing of the policy is told."""
    with running() as harness:
        reply = make(harness, error)()
        assert reply.status == status
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["cache-control"] == "no-store"
        assert "x-request-id" in {name.lower() for name in reply.headers}
        told = reply.headers.get("retry-after", "")
        assert told in (("1", "2", "3") if again is None else (again,))
        problem = json.loads(reply.body)
        assert (problem["status"], problem["type"]) == (status, "about:blank")
        assert "payments" not in reply.body.decode()


@every
def test_a_group_of_refusals_is_answered_as_the_first_of_them(make: Make) -> None:
    """As `asyncio.TaskGroup` raises what comes up in one of its tasks, or in more."""
    spent = ExceptionGroup("inner", [DeadlineExceeded("payments")])
    group = ExceptionGroup("tasks", [CircuitOpen("payments", "open", 8.2), spent])
    with running() as harness:
        reply = make(harness, group)()
        assert (reply.status, reply.headers["retry-after"]) == (503, "9")
        assert b"payments" not in reply.body
        assert [line for line in harness.lines if "error" in line] == []


@every
def test_a_group_with_another_error_is_an_error(make: Make) -> None:
    """It is not the policies alone that failed."""
    group = ExceptionGroup("tasks", [CircuitOpen("payments", "open"), KeyError("id")])
    with running() as harness:
        try:
            assert make(harness, group)().status == 500
        except ExceptionGroup:
            pass

        assert [line for line in harness.lines if "error" in line]


@every
def test_lines_and_metrics_have_the_status_that_was_sent(make: Make) -> None:
    """One access line, no error line with a stack for each refused request."""
    count = "http_server_request_duration_seconds_count"
    with running() as harness:

        def counted(status: str) -> float:
            return harness.sample(count, http_response_status_code=status) or 0.0

        before = counted("503"), counted("500")
        make(harness, CircuitOpen("payments", "open", 8.2))()
        statuses = [line["http"]["status"] for line in harness.access_lines]  # type: ignore[index]
        assert statuses == [503]
        assert [line for line in harness.lines if "error" in line] == []
        assert (counted("503"), counted("500")) == (before[0] + 1, before[1])


@every
def test_it_can_be_switched_off(make: Make) -> None:
    """Then it is an error as any other, 500 with a line."""
    with running(settings={"http.answer_refusals": False}) as harness:
        try:
            status = make(harness, CircuitOpen("payments", "open", 8.2))().status
        except CircuitOpen:  # as servers get it, which answer 500
            status = 500

        assert status == 500
        (line,) = [line for line in harness.lines if "error" in line]
        assert line["error"]["type"] == "svcready.errors.CircuitOpen"  # type: ignore[index]


@pytest.mark.parametrize("kind", [CircuitOpen, Rejected, Exception, 500])
@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_handler_of_the_application_goes_first(
    kind: Any, on: bool, is_async: bool
) -> None:
    """One for the very type, for a base of it, or for all errors, on or off."""
    app = FastAPI()
    app.get("/pay")(lambda: throw(CircuitOpen("payments", "open")))

    async def later(request: Any, error: Exception) -> PlainTextResponse:
        assert isinstance(error, CircuitOpen)
        return PlainTextResponse("later", 429)

    def plain(request: Any, error: Exception) -> PlainTextResponse:
        assert isinstance(error, CircuitOpen)
        return PlainTextResponse("later", 429)

    with running(settings={"http.answer_refusals": on}) as harness:
        harness.runtime.attach(app)
        app.add_exception_handler(kind, later if is_async else plain)
        reply = asyncio.run(ask_quietly(app))

    assert reply == 429


async def ask_quietly(app: Any) -> int:
    """Return the status, though the error goes on to the server as well."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    try:
        await app(http_scope("/pay"), receive, send)
    except CircuitOpen:
        pass

    (status,) = statuses
    return status


@pytest.mark.parametrize("kind", [CircuitOpen, Rejected, Exception, 500])
@pytest.mark.parametrize("on", [True, False])
def test_so_does_one_of_flask(kind: Any, on: bool) -> None:
    """As it would be asked without us."""
    app = flask.Flask("orders")
    app.get("/pay")(lambda: throw(CircuitOpen("payments", "open")))
    app.register_error_handler(kind, lambda error: ("later", 429))
    with running(settings={"http.answer_refusals": on}) as harness:
        harness.runtime.attach(app)
        assert ask_wsgi(app.wsgi_app, "/pay").status == 429


def test_so_does_one_of_a_blueprint() -> None:
    """Also the one for what failed, of whatever type."""
    orders = flask.Blueprint("orders", "orders")
    orders.get("/pay")(lambda: throw(CircuitOpen("payments", "open")))
    orders.register_error_handler(500, lambda error: ("later", 429))
    app = flask.Flask("orders")
    app.register_blueprint(orders)
    with running() as harness:
        harness.runtime.attach(app)
        assert ask_wsgi(app.wsgi_app, "/pay").status == 429


class Checking:
    """Middleware of the application's that asks another service."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let nothing through."""
        throw(CircuitOpen("users", "open", 8.2))


async def check(request: Any, go_on: Any) -> Any:
    """Do the same as a function."""
    throw(CircuitOpen("users", "open", 8.2))


@pytest.mark.parametrize("is_function", [True, False])
def test_what_middleware_raises_is_answered(is_function: bool) -> None:
    """Who asks another service whose a request is does so there."""
    app = FastAPI()
    if is_function:
        app.middleware("http")(check)
    else:
        app.add_middleware(Checking)

    with running() as harness:
        harness.runtime.attach(app)
        reply = asyncio.run(ask_asgi(app, http_scope("/pay")))
        assert (reply.status, reply.headers["retry-after"]) == (503, "9")
        assert [line for line in harness.lines if "error" in line] == []


@pytest.mark.parametrize(
    ("kind", "on"), [(Exception, True), (500, True), (None, False)]
)
def test_what_middleware_raises_is_the_applications_first(kind: Any, on: bool) -> None:
    """As with what endpoints raise."""
    app = FastAPI()
    app.add_middleware(Checking)
    if kind is not None:
        app.add_exception_handler(kind, lambda *_: PlainTextResponse("no", 418))

    with running(settings={"http.answer_refusals": on}) as harness:
        harness.runtime.attach(app)
        assert asyncio.run(ask_quietly(app)) == (500 if kind is None else 418)


def test_a_time_out_that_the_application_handles() -> None:
    """`TimeoutError` is a base of ours, and its handler goes before our answer."""
    app = flask.Flask("orders")
    app.get("/pay")(lambda: throw(AttemptTimeout("payments")))
    app.register_error_handler(TimeoutError, lambda error: ("slow", 408))
    with running() as harness:
        harness.runtime.attach(app)
        assert ask_wsgi(app.wsgi_app, "/pay").status == 408


@every
def test_other_time_outs_are_errors(make: Make) -> None:
    """What is no policy's is nobody's answer."""
    with running() as harness:
        try:
            assert make(harness, TimeoutError("a socket"))().status == 500
        except TimeoutError:
            pass

        assert [line for line in harness.lines if "error" in line]


def test_a_response_that_began_is_not_answered_again() -> None:
    """Then it is an error as any other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        throw(CircuitOpen("payments", "open"))

    with running(), pytest.raises(CircuitOpen):
        asyncio.run(ask_asgi(svcready.wrap(app), http_scope("/pay")))


def test_what_comes_up_in_a_body_stays_what_it_is() -> None:
    """A refusal in a stream ends that, and no other error takes its place."""
    app = FastAPI()

    async def body() -> Any:
        yield b"one"
        throw(CircuitOpen("payments", "open"))

    app.get("/pay")(lambda: StreamingResponse(body()))
    with running() as harness:
        harness.runtime.attach(app)
        with pytest.raises((CircuitOpen, ExceptionGroup)) as raised:
            asyncio.run(ask_asgi(app, http_scope("/pay")))

    error = raised.value
    if isinstance(error, ExceptionGroup):  # older Starlettes raise such
        (error,) = error.exceptions

    assert isinstance(error, CircuitOpen)


def test_a_router_that_is_served_alone() -> None:
    """Without the middleware that knows handlers there are none to go first."""

    async def pay(request: Any) -> PlainTextResponse:
        return PlainTextResponse(throw(CircuitOpen("payments", "open", 8.2)))

    app = Starlette(routes=[Route("/pay", pay)])
    with running() as harness:
        harness.runtime.attach(app)
        app.build_middleware_stack()
        assert asyncio.run(ask_asgi(app.router, http_scope("/pay"))).status == 503


def test_websockets_are_left_alone() -> None:
    """There is nothing to answer: the error goes on to the server."""
    app = FastAPI()

    @app.websocket("/ws")
    async def serve(socket: WebSocket) -> None:
        throw(CircuitOpen("payments", "open"))

    async def send(message: Any) -> None:
        del message

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {**http_scope("/ws"), "type": "websocket", "subprotocols": []}
    with running() as harness:
        harness.runtime.attach(app)
        with pytest.raises(CircuitOpen):
            asyncio.run(app(scope, receive, send))


def context_of(harness: Harness) -> Any:
    """Return the context of the one access line."""
    (line,) = harness.access_lines
    return line.get("context", {})


def timed_out(name: str) -> AttemptTimeout:
    """Return the error of a time-out of that name."""
    return AttemptTimeout("no end within 2 s", name=name)


@every
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CircuitOpen("payments", "open", 8.2), "CircuitOpen"),
        (DeadlineSpent("payments", "spent"), "DeadlineSpent"),
        (LoadShed("payments", "full"), "LoadShed"),
        (timed_out("payments"), "AttemptTimeout"),
        (DeadlineExceeded("too long", name="payments"), "DeadlineExceeded"),
    ],
)
def test_the_access_line_says_what_refused(
    make: Make, error: Exception, kind: str
) -> None:
    """Whose policy it was and what it raised: there is no other line of it."""
    with running() as harness:
        make(harness, error)()
        context = context_of(harness)
        assert context["refused_by"] == "payments"
        assert context["error_type"] == f"svcready.errors.{kind}"


@every
def test_a_time_out_of_no_name_says_what_it_was(make: Make) -> None:
    """One that an application made itself need have none."""
    with running() as harness:
        make(harness, AttemptTimeout("too long"))()
        context = context_of(harness)
        assert context["error_type"] == "svcready.errors.AttemptTimeout"
        assert "refused_by" not in context


def test_middleware_with_a_task_of_its_own_hides_nothing() -> None:
    """What is noted in a copy of the request's context is on its line as well."""
    app = FastAPI()
    app.get("/pay")(lambda: throw(CircuitOpen("payments", "open")))

    @app.middleware("http")
    async def between(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    with running() as harness:
        harness.runtime.attach(app)
        assert asyncio.run(ask_asgi(app, http_scope("/pay"))).status == 503
        assert context_of(harness)["refused_by"] == "payments"


def test_what_the_application_answers_itself_has_no_such_words() -> None:
    """Another answer to it, or one that a fallback made, was not refused."""
    app = flask.Flask("orders")
    app.get("/pay")(lambda: throw(CircuitOpen("payments", "open")))
    app.after_request(lambda response: flask.Response("stand-in", 200))
    with running() as harness:
        harness.runtime.attach(app)
        assert ask_wsgi(app.wsgi_app, "/pay").status == 200
        assert "refused_by" not in context_of(harness)


def test_the_errors_of_a_policy_have_its_name() -> None:
    """A time-out's and a deadline's, also after a copy."""

    async def forever() -> None:
        await asyncio.Event().wait()

    slow = svcready.policy("named-slow", timeout=0.001)
    late = svcready.policy("named-late", deadline=0.001)
    retried = svcready.policy("named-again", deadline=0.002, retry=OSError)
    for policy in (slow, late, retried):
        with pytest.raises((AttemptTimeout, DeadlineExceeded)) as caught:
            asyncio.run(policy.call(forever))

        error = caught.value
        assert getattr(error, "name", None) == policy.name
        again = pickle.loads(pickle.dumps(error))
        assert (again.name, str(again)) == (policy.name, str(error))
