"""Access lines of refused requests: one now and then, the others at DEBUG."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import flask
import pytest
from fastapi import FastAPI, HTTPException

import svcready
from svcready.errors import RateLimited
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, Harness
from tests.adapters.limits import Running, nothing_declared
from tests.adapters.support import ask_asgi, ask_wsgi, http_scope

Ask = Callable[[str], int]


@pytest.fixture(autouse=True)
def _nothing_declared() -> Any:
    """Every test declares into empty registers."""
    with nothing_declared():
        yield


def make_fastapi(harness: Harness) -> Ask:
    """An application with a limit on a function, and routes for an operator's rules."""
    app = FastAPI()
    app.get("/plain")(lambda: "ok")
    app.get("/limited")(svcready.limit("1/h", by="all", name="few")(lambda: "ok"))
    harness.runtime.attach(app)
    return lambda path: asyncio.run(ask_asgi(app, http_scope(path))).status


def make_flask(harness: Harness) -> Ask:
    """The same in Flask."""
    app = flask.Flask("orders")
    app.get("/plain", endpoint="plain")(lambda: "ok")
    limited = svcready.limit("1/h", by="all", name="few")(lambda: "ok")
    app.get("/limited", endpoint="limited")(limited)
    harness.runtime.attach(app)
    return lambda path: ask_wsgi(app.wsgi_app, path).status


both = pytest.mark.parametrize("make", [make_fastapi, make_flask])


def lines(harness: Harness, status: int) -> list[tuple[str, str]]:
    """Return level and route of the access lines with *status*."""
    return [
        (str(line["level"]), line["http"]["route"])  # type: ignore[index]
        for line in harness.access_lines
        if line["http"]["status"] == status  # type: ignore[index]
    ]


def refused(harness: Harness, route: str) -> float:
    """Return how many requests the metrics have that were answered 429."""
    name = "http_server_request_duration_seconds_count"
    labels = {"http_response_status_code": "429", "http_route": route}
    return harness.sample(name, **labels) or 0.0


@both
@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("* 1/h by address", "/plain"),  # before the route
        ("* 1/h by route", "/plain"),  # at the route
        ("", "/limited"),  # on the function
    ],
)
def test_one_line_in_ten_seconds_tells_of_requests_over_a_limit(
    run: Running,
    clock: FakeClock,
    make: Callable[[Harness], Ask],
    rules: str,
    path: str,
) -> None:
    """By route; each counts in the metrics, and all are told of in one line."""
    with run(rules) as harness:
        ask = make(harness)
        before = refused(harness, path)
        assert [ask(path) for _ in range(50)] == [200] + [429] * 49
        assert lines(harness, 429) == [("INFO", path)]
        clock.advance(10.1)
        assert ask(path) == 429
        assert lines(harness, 429) == [("INFO", path)] * 2
        assert refused(harness, path) - before == 50
        assert harness.runtime.refusals is not None
        harness.runtime.refusals.tell()
        (told,) = (x for x in harness.lines if x.get("event") == "resilience.rejected")
        assert told["context"]["calls"] == 50  # type: ignore[index]


@both
def test_an_answer_of_the_applications_own_has_its_line(
    run: Running, make: Callable[[Harness], Ask]
) -> None:
    """However many: what nobody of ours refuses is counted nowhere else."""
    app = FastAPI()

    @app.get("/busy", status_code=429)
    async def busy() -> str:
        return "not now"

    with run("* 100/s by address") as harness:
        harness.runtime.attach(app)
        for _ in range(5):
            asyncio.run(ask_asgi(app, http_scope("/busy")))

        assert lines(harness, 429) == [("INFO", "/busy")] * 5


def test_shed_requests_are_warned_of_now_and_then(
    run: Running, clock: FakeClock
) -> None:
    """Per route; 503 is WARN, as every other, once in ten seconds."""
    with run(**{"http.shedding": "enforce", "http.shedding_max_limit": 5}) as harness:
        ask = make_fastapi(harness)
        ask("/plain")
        places = [http_shedder().enter("critical") for _ in range(5)]
        assert {ask(path) for path in ("/plain", "/limited") * 20} == {503}
        assert lines(harness, 503) == [("WARN", "/plain"), ("WARN", "/limited")]
        clock.advance(10.1)
        ask("/plain")
        assert len(lines(harness, 503)) == 3
        for place in places:
            http_shedder().leave(place, None)


def test_what_a_handler_makes_of_a_refusal_has_its_line(run: Running) -> None:
    """It is the application's answer, though a limit refused something in it."""
    with run("* 9/s by address") as harness:
        app = FastAPI()
        few = svcready.limit("1/h", by="all", name="few")(lambda: "ok")

        @app.get("/made")
        def made() -> str:
            try:
                return few()
            except RateLimited:
                raise HTTPException(503, "database down") from None

        harness.runtime.attach(app)
        told = [asyncio.run(ask_asgi(app, http_scope("/made"))).status for _ in "1234"]
        assert told == [200, 503, 503, 503]
        assert [level for level, _ in lines(harness, 503)] == ["WARN"] * 3


def test_a_websocket_that_is_denied_has_its_line(run: Running) -> None:
    """No policy is asked of it: a 503 is the application's own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "websocket.http.response.start", "status": 503, "headers": []}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b""})

    async def nothing(*_: object) -> Any:
        return {"type": "websocket.connect"}

    scope = {**http_scope("/feed"), "type": "websocket", "subprotocols": []}
    with run("* 9/s by address") as harness:
        for _ in range(3):
            asyncio.run(svcready.wrap(app)({**scope}, nothing, nothing))

        assert [level for level, _ in lines(harness, 503)] == ["WARN"] * 3


def test_debug_shows_every_one(run: Running) -> None:
    """Who looks for one caller lowers the level of the access lines."""
    levels = {"log.levels": {"svcready.access": "DEBUG"}, "log.allow_debug": True}
    with run("* 1/h by address", **levels) as harness:
        ask = make_fastapi(harness)
        for _ in range(5):
            ask("/plain")

        said = [level for level, _ in lines(harness, 429)]
        assert said == ["INFO", "DEBUG", "DEBUG", "DEBUG"]
