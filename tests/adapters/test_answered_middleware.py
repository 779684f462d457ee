"""What the middleware of FastAPI and Starlette raises, and which handlers it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from traceback import extract_tb
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from svcready.adapters import _starlette_answers
from svcready.errors import CircuitOpen, LoadShed, Rejected
from svcready.testing import running
from tests.adapters.support import Reply, ask_asgi, http_scope

OPEN = "audit", "open", 8.2


class Before:
    """Middleware that asks another service before the application does."""

    def __init__(self, app: Any, kind: Callable[..., Exception] = CircuitOpen) -> None:
        self._app = app
        self._kind = kind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let nothing through."""
        if scope["type"] == "http":
            raise self._kind(*OPEN)

        await self._app(scope, receive, send)


class After(Before):
    """Middleware that does so once it has the response, and before sending that."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let nothing out."""

        async def keep(message: Any) -> None:
            del message

        await self._app(scope, receive, keep)
        await super().__call__(scope, receive, send)


async def serve(request: Any) -> PlainTextResponse:
    """Answer."""
    return PlainTextResponse("served")


async def refuse(request: Any) -> PlainTextResponse:
    """Let a policy's error up."""
    raise CircuitOpen(*OPEN)


async def later(request: Any, error: Exception) -> PlainTextResponse:
    """Handle a refusal, as an application does."""
    assert isinstance(error, Rejected)
    return PlainTextResponse("later", 429)


def make(*middleware: Any, inner: Any = None, handlers: Any = None) -> Starlette:
    """Return an application with *inner* mounted in it."""
    routes: list[Any] = [Route("/x", serve), Route("/refused", refuse)]
    if inner is not None:
        routes.append(inner if isinstance(inner, Mount) else Mount("/in", inner))

    return Starlette(
        routes=routes,
        middleware=[Middleware(one) for one in middleware],
        exception_handlers=handlers,
    )


def ask(app: Starlette, path: str = "/x") -> Reply:
    """Ask *app*, and have 500 told by its error."""
    host = [(b"host", b"orders.example")]
    return asyncio.run(ask_asgi(app, http_scope(path, headers=host)))


every = pytest.mark.parametrize("middleware", [Before, After])


@every
@pytest.mark.parametrize("kind", [CircuitOpen, Rejected])
def test_a_handler_that_middleware_does_not_reach(middleware: Any, kind: Any) -> None:
    """Starlette asks those for single errors further in: nobody takes these."""
    app = make(middleware, handlers={kind: later})
    with running() as harness:
        harness.runtime.attach(app)
        reply = ask(app)
        assert (reply.status, reply.headers["retry-after"]) == (503, "9")
        assert [line for line in harness.lines if "error" in line] == []


@every
def test_what_middleware_raises_to_be_an_answer(middleware: Any) -> None:
    """Nor does the handler that we put there for `LoadShed`."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    app.add_middleware(middleware, kind=lambda *_: LoadShed("audit", "full"))
    with running(settings={"http.answer_refusals": False}) as harness:
        harness.runtime.attach(app)
        assert ask(app).status == 503


def test_a_function_that_asks_after_the_endpoint() -> None:
    """As FastAPI's documentation writes middleware, and ours a handler."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    app.exception_handler(Rejected)(later)

    @app.middleware("http")
    async def audited(request: Any, go_on: Any) -> Any:
        response = await go_on(request)
        async for _ in response.body_iterator:  # older Starlettes leave it open
            pass

        raise CircuitOpen(*OPEN)

    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app).status == 503


@every
@pytest.mark.parametrize("kind", [Exception, 500])
def test_a_handler_of_all_errors_is_asked(middleware: Any, kind: Any) -> None:
    """It is outside middleware, and goes first there, whatever there is inside."""
    app = make(middleware, handlers={kind: later, KeyError: later})
    statuses = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    with running() as harness:
        harness.runtime.attach(app)
        with pytest.raises(CircuitOpen):  # Starlette has servers see it as well
            asyncio.run(app(http_scope("/x"), None, send))  # type: ignore[arg-type]

    assert statuses[0] == 429


@every
def test_handlers_of_a_mounted_application_are_its_own(middleware: Any) -> None:
    """They take nothing that is raised outside it."""
    inner = make(handlers={Rejected: later})
    app = make(middleware, inner=inner)
    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app, "/in/x").status == 503


@every
@pytest.mark.parametrize(("has", "status"), [("outer", 429), ("inner", 503)])
def test_middleware_of_a_mount_has_the_handlers_around_it(
    middleware: Any, has: str, status: int
) -> None:
    """It is inside the application with the mount, and outside the mounted one."""
    inner = make(handlers={Rejected: later} if has == "inner" else None)
    mount = Mount("/in", inner, middleware=[Middleware(middleware)])
    app = make(inner=mount, handlers={Rejected: later} if has == "outer" else None)
    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app, "/in/x").status == status


@pytest.mark.parametrize(("has", "status"), [("outer", 503), ("inner", 429)])
def test_endpoints_of_a_mounted_application_have_its_handlers(
    has: str, status: int
) -> None:
    """Those of the application around it wouldn't be asked without us either."""
    inner = make(handlers={Rejected: later} if has == "inner" else None)
    app = make(inner=inner, handlers={Rejected: later} if has == "outer" else None)
    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app, "/in/refused").status == status


@every
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_what_middleware_of_a_mounted_application_raises(
    middleware: Any, built: bool, depth: int
) -> None:
    """However far down that is, and whether it served before or not."""
    app = inner = make(middleware)
    for _ in range(depth):
        app = make(inner=app)

    with running() as harness:
        if built:
            with pytest.raises(CircuitOpen):
                ask(app, "/in" * depth + "/x")

            assert inner.middleware_stack is not None

        harness.runtime.attach(app)
        reply = ask(app, "/in" * depth + "/x")
        assert (reply.status, reply.headers["retry-after"]) == (503, "9")
        assert [line for line in harness.lines if "error" in line] == []


def test_middleware_that_a_mounted_application_gets_late() -> None:
    """It may have more until it is asked for the first time."""
    inner = FastAPI()
    app = FastAPI()
    app.mount("/in", inner)
    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app, "/x").status == 404
        inner.add_middleware(Before)
        assert ask(app, "/in/x").status == 503


@pytest.mark.parametrize("kind", [Exception, 500])
def test_a_mounted_application_that_handles_all_errors(kind: Any) -> None:
    """It does so for its middleware as well."""
    inner = make(Before, handlers={kind: later})
    app = make(inner=inner)
    with running() as harness:
        harness.runtime.attach(app)
        with pytest.raises(CircuitOpen):
            ask(app, "/in/x")

        assert harness.access_lines[-1]["http"]["status"] == 429  # type: ignore[index]


class Between:
    """Middleware that lets everything through."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve."""
        await self._app(scope, receive, send)


MOUNTS: list[Callable[[Any], Any]] = [
    lambda inner: Mount("/in", inner, middleware=[Middleware(Between)]),
    lambda inner: Mount("/in", GZipMiddleware(inner)),
    lambda inner: Host("{name}", Starlette(routes=[Mount("/in", inner)])),
    lambda inner: Mount("/in", routes=[Host("{name}", inner)]),
]


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("path", ["/in/x", "/in/refused"])
def test_a_mounted_application_behind_middleware_or_a_host(
    mount: Callable[[Any], Any], path: str
) -> None:
    """It is found there, for its middleware and for its routes."""
    inner = make(Before) if path == "/in/x" else make()
    app = Starlette(routes=[mount(inner)])
    with running() as harness:
        harness.runtime.attach(app)
        assert ask(app, path).status == 503


def count_layers(app: Starlette, path: str) -> int:
    """Return how many layers with an answer an error goes through."""
    with pytest.raises(CircuitOpen) as raised:
        ask(app, path)

    file = _starlette_answers.__file__
    return sum(frame.filename == file for frame in extract_tb(raised.tb))


@pytest.mark.parametrize("attached", ["once", "inner first", "inner last", "served"])
def test_no_layer_is_there_twice(attached: str) -> None:
    """Though it is mounted twice, attached itself as well, or built again."""
    inner = make(Between)
    app = make(inner=inner)
    app.mount("/again", inner)
    whole = make(inner=app)
    with running(settings={"http.answer_refusals": False}) as harness:
        if attached == "served":
            with pytest.raises(CircuitOpen):
                ask(whole, "/in/in/refused")

        if attached == "inner first":
            harness.runtime.attach(inner)

        harness.runtime.attach(whole)
        for path in ("/in/in/refused", "/in/again/refused") * 2:
            # Of `inner` its routes and its middleware, of the others their routes.
            assert count_layers(whole, path) == 2 + 2
            if attached == "inner last":
                harness.runtime.attach(inner)

            for one in (whole, app, inner):
                one.middleware_stack = None

        assert count_layers(inner, "/refused") == 2
