"""Which class a route has: by decorator and by variable, in every framework."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flask
import pytest
from fastapi import APIRouter, FastAPI
from flask.views import MethodView
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

import svcready
from svcready.config import load
from svcready.errors import DeclarationError
from svcready.resilience import Pressure
from svcready.resilience._limiting._inbound import Inbound
from svcready.resilience._limiting._pressure import GAUGE
from svcready.resilience._shed._priorities import Priorities
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, Harness, running
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

RULES = "POST /orders/{number} critical; * /search sheddable; GET /<int:number> exempt"


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A runtime that sheds load."""
    settings = {"http.shedding": "enforce", "http.shedding_max_limit": 5}
    with running(service="orders", settings=settings, clock=FakeClock()) as made:
        yield made


def class_of(ask: Callable[[], object]) -> str:
    """Return the class that a request was counted in."""
    before = http_shedder().counts()
    ask()
    (found,) = (
        priority
        for (priority, _), many in http_shedder().counts().items()
        if many > before.get((priority, "success"), 0)
    )
    return found


@pytest.mark.usefixtures("harness")
def test_fastapi() -> None:
    """Above or below the framework's decorator, in a router, a mount and a class."""
    app = FastAPI()
    router = APIRouter(prefix="/inner")

    @app.get("/plain")
    async def plain() -> str:
        return "served"

    @app.get("/below/{number}")
    @svcready.priority("critical")
    async def below(number: int) -> str:
        del number
        return "served"

    @svcready.priority("sheddable")
    @app.get("/above")
    def above() -> str:
        return "served"

    @router.get("/routed")
    @svcready.priority("critical")
    async def routed() -> str:
        return "served"

    @svcready.priority("sheddable")
    class Endpoint(HTTPEndpoint):
        """Serves by a class."""

        async def get(self, request: Request) -> PlainTextResponse:
            """Answer."""
            del request
            return PlainTextResponse("served")

    app.include_router(router)
    app.add_route("/class", Endpoint)  # type: ignore[arg-type]
    outer = FastAPI()
    outer.mount("/mounted", app)
    svcready.init(app=outer)

    for path, expected in (
        ("/mounted/plain", "default"),
        ("/mounted/below/7", "critical"),
        ("/mounted/above", "sheddable"),
        ("/mounted/inner/routed", "critical"),
        ("/mounted/class", "sheddable"),
        ("/nowhere", "default"),
    ):
        asking = ask_asgi(outer, http_scope(path))
        assert class_of(partial(asyncio.run, asking)) == expected


@pytest.mark.usefixtures("harness")
def test_flask() -> None:
    """Functions, and classes by `as_view`."""
    app = flask.Flask("shop")

    @app.get("/plain")
    def plain() -> str:
        return "served"

    @app.get("/below/<int:number>")
    @svcready.priority("critical")
    def below(number: int) -> str:
        del number
        return "served"

    @svcready.priority("sheddable")
    class View(MethodView):
        """Serves by a class."""

        def get(self) -> str:
            """Answer."""
            return "served"

    app.add_url_rule("/class", view_func=View.as_view("view"))
    svcready.init(app=app)
    for path, expected in (
        ("/plain", "default"),
        ("/below/7", "critical"),
        ("/class", "sheddable"),
        ("/nowhere", "default"),
    ):
        assert class_of(partial(ask_wsgi, app, path)) == expected


def test_flask_whole_bodies_count(harness: Harness) -> None:
    """A response that Flask hands over as an iterable, and is whole, has a latency."""
    app = flask.Flask("shop")
    clock = harness.runtime.clock
    assert isinstance(clock, FakeClock)

    @app.get("/")
    def plain() -> str:
        clock.advance(0.2)
        return "ok"

    svcready.init(app=app)
    for _ in range(10):
        ask_wsgi(app, "/")

    assert harness.runtime.resilience is not None
    state = harness.runtime.resilience.shedding()
    assert state is not None
    assert state.baseline_s == pytest.approx(0.2)


def test_a_streaming_response_gives_its_place_back(harness: Harness) -> None:
    """Starlette's stream holds no place from its second piece on."""
    app = FastAPI()
    seen = []

    async def pieces() -> Any:
        yield b"one"
        yield b"two"
        seen.append(http_shedder().state().in_flight)
        yield b"three"

    @app.get("/")
    async def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    svcready.init(app=app)
    assert asyncio.run(ask_asgi(app, http_scope("/"))).body == b"onetwothree"
    assert seen == [0]


@pytest.mark.parametrize(
    ("method", "template", "expected"),
    [
        ("POST", "/orders/{number}", "critical"),
        ("GET", "/orders/{number}", "default"),
        ("DELETE", "/search", "sheddable"),
        ("HEAD", "/<int:number>", "exempt"),
        ("GET", "/other", "default"),
        ("GET", None, "default"),
    ],
)
def test_rules_go_by_template(method: str, template: str | None, expected: str) -> None:
    """The variable names routes by method and template, in the framework's spelling."""
    settings = load(environ={"SVCREADY_HTTP_PRIORITIES": RULES})
    assert not settings.problems

    class Asked:
        """A request, as far as it is asked."""

        def __init__(self) -> None:
            self.method = method

        def template(self) -> str | None:
            """Return the route."""
            return template

        def bare_path(self) -> str | None:
            """Return None: there are routes."""
            return None

        def endpoint(self) -> object:
            """Return nothing that was decorated."""
            return None

    request: Inbound = Asked()  # type: ignore[assignment]
    assert Priorities(settings.http.priorities).of(request) == expected


@pytest.mark.parametrize(
    "text", ["POST /orders", "/orders critical", "GET orders critical", "GET / urgent"]
)
def test_a_wrong_rule_is_told_and_the_others_hold(text: str) -> None:
    """What is no rule is a problem that shows it; the rest is in force."""
    settings = load(environ={"SVCREADY_HTTP_PRIORITIES": f"GET /a critical; {text}"})
    assert [rule.template for rule in settings.http.priorities] == ["/a"]
    assert any(text in str(problem) for problem in settings.problems)


@pytest.mark.parametrize("name", ["urgent", "", "Critical", None, 3])
def test_another_class_is_refused(name: Any) -> None:
    """A class that there is not raises where it is declared, naming those there are."""
    with pytest.raises(DeclarationError, match="critical, default, sheddable, exempt"):
        svcready.priority(name)


def test_the_decorator_changes_nothing() -> None:
    """What it decorates is the same object."""

    def view() -> None: ...

    assert svcready.priority("critical")(view) is view


def test_pressure_is_told_before_anybody_is_refused(harness: Harness) -> None:
    """From four fifths of a class's room on, `on_pressure` hears of it."""
    heard: list[Pressure] = []
    add: Callable[[Pressure], object] = heard.append
    GAUGE.forget()
    svcready.on_pressure(lambda pressure: add(pressure))
    gate, inside = threading.Event(), threading.Semaphore(0)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        inside.release()
        gate.wait(10)
        start_response("200 OK", [])
        return [b""]

    wrapped: Any = svcready.wrap(app)
    threads = [threading.Thread(target=ask_wsgi, args=(wrapped,)) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
            inside.acquire(timeout=10)

        assert heard == [Pressure("shedding", "default", 1.0)]
        assert http_shedder().counts() == {("default", "success"): 4}
        assert svcready.pressure() == 1.0
    finally:
        gate.set()
        for thread in threads:
            thread.join()

        GAUGE.forget()
