from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response, abort

import svcready
from svcready.testing import FakeClock, Harness, running
from tests.adapters.support import Scope, ask_asgi, ask_wsgi, http_scope

log = svcready.get_logger("tests.shop")
std = logging.getLogger("tests.shop.db")
ON = {"log.flight_recorder": 200}


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A runtime with a flight recorder that moves its clock itself."""
    with running(service="orders", settings=ON, clock=FakeClock()) as made:
        yield made


def story(harness: Harness) -> list[str]:
    """Return what was said, recorded lines marked, after the start."""
    lines = [line for line in harness.lines if "request_id" in line]
    return [
        f"({line['message']})" if line.get("recorded") else str(line["message"])
        for line in lines
    ]


def nothing_left(harness: Harness) -> bool:
    """Tell whether no request is kept any more."""
    logs = harness.runtime.logging
    assert logs is not None
    flights = logs.handler.flights
    assert flights is not None
    return not flights.open and not flights.size


async def get(app: FastAPI, *paths: str) -> None:
    """Ask for all paths at the same time."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await asyncio.gather(*(http.get(path) for path in paths))


def fastapi_app() -> FastAPI:
    """An application whose endpoints run everywhere that FastAPI runs code."""
    app = FastAPI()
    svcready.init(service="orders", app=app)

    def fail_later() -> None:
        log.debug("in the background")
        raise LookupError("later")

    @app.get("/sync/{status}")
    def sync(status: int) -> dict[str, int]:
        log.debug("on a thread")
        std.debug("on a thread too")
        if status == 500:
            raise LookupError("gone")

        return {"status": status}

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        log.debug("before the response")
        tasks.add_task(fail_later)
        return "done"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def body() -> Any:
            log.debug("streaming")
            yield b"x"
            raise LookupError("midway")

        return StreamingResponse(body())

    return app


def test_fastapi_on_threads(harness: Harness) -> None:
    """A failing request has its lines before its error's, good ones beside it none."""
    app = fastapi_app()
    asyncio.run(get(app, "/sync/200", "/sync/500", "/sync/201"))

    lines = [line for line in story(harness) if not line.endswith(" 200")]
    assert lines == [
        "(on a thread)",
        "(on a thread too)",
        "unhandled exception: LookupError",
        "GET /sync/{status} 500",
    ]
    (access,) = (at for at in harness.access_lines if "500" in str(at["message"]))
    recorded = [line for line in harness.lines if line.get("recorded")]
    assert {line["request_id"] for line in recorded} == {access["request_id"]}
    assert {line["span_id"] for line in recorded} == {access["span_id"]}
    assert nothing_left(harness)


def test_a_background_task_that_fails(harness: Harness) -> None:
    """The response has left by then; the request's lines are still there."""
    asyncio.run(get(fastapi_app(), "/background"))

    assert story(harness) == [
        "GET /background 200",
        "(before the response)",
        "(in the background)",
        "unhandled exception: LookupError",
    ]
    assert nothing_left(harness)


def test_a_stream_that_fails(harness: Harness) -> None:
    """It had begun with 200, and raises; old Starlettes put the error into a group."""
    asyncio.run(get(fastapi_app(), "/stream"))

    streaming, failed, *_ = story(harness)
    assert streaming == "(streaming)"
    assert failed in {
        "unhandled exception: LookupError",
        "unhandled exception: ExceptionGroup",
    }
    assert nothing_left(harness)


def test_a_slow_request(harness: Harness) -> None:
    """By the runtime's clock, from the bound on."""
    clock = harness.runtime.clock
    assert isinstance(clock, FakeClock)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        log.debug("waited")
        clock.advance(float(scope["query_string"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    for seconds in (b"0.9", b"1.0"):
        scope = http_scope(query_string=seconds)
        asyncio.run(ask_asgi(svcready.wrap(app), scope))

    good = "GET __unmatched__ 200"
    assert story(harness) == [good, "(waited)", good]
    assert nothing_left(harness)


def test_a_client_that_left(harness: Harness) -> None:
    """499 is the client's doing, and no failure."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        log.debug("looked")
        assert (await receive())["type"] == "http.disconnect"

    asyncio.run(ask_asgi(svcready.wrap(app), http_scope(), leaves=True))

    assert story(harness) == ["GET __unmatched__ 499"]
    assert nothing_left(harness)


@pytest.mark.parametrize("fails", [True, False])
def test_a_websocket(harness: Harness, *, fails: bool) -> None:
    """A connection that raises has its lines, one that lasted long has none."""
    clock = harness.runtime.clock
    assert isinstance(clock, FakeClock)

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        log.debug("talked")
        clock.advance(3600)
        if fails:
            raise LookupError

    scope = {**http_scope("/ws"), "type": "websocket", "scheme": "ws"}
    with suppress(LookupError):
        asyncio.run(ask_asgi(svcready.wrap(app), scope))

    assert ("(talked)" in story(harness)) == fails
    assert nothing_left(harness)


def test_without_access_lines() -> None:
    """With access lines off, or above their level, the recorded ones come out."""
    for settings in ({"http.access_log": False}, {"log.level": "FATAL"}):
        with running(settings={**ON, **settings}, clock=FakeClock()) as harness:
            asyncio.run(get(fastapi_app(), "/sync/500"))

            assert "(on a thread)" in story(harness)
            assert harness.access_lines == []
            assert nothing_left(harness)


def test_kept_traces_have_their_lines() -> None:
    """With `sampled`, a good request of a kept trace has them; another has not."""
    for share, recorded in (("100%", True), ("0%", False)):
        settings = {
            **ON,
            "log.flight_recorder_on": ("sampled",),
            "tracing.sampling": share,
        }
        with running(settings=settings, clock=FakeClock()) as harness:
            asyncio.run(get(fastapi_app(), "/sync/200"))

            assert ("(on a thread)" in story(harness)) == recorded


def flask_app() -> Flask:
    """An application that fails in Flask's ways."""
    app = Flask("tests.shop")
    svcready.init(service="orders", app=app)

    @app.get("/<int:status>")
    def answer(status: int) -> str:
        log.debug("looked")
        std.debug("asked %s", "once")
        if status == 500:
            raise LookupError("gone")

        if status != 200:
            abort(status)

        return "fine"

    @app.get("/stream")
    def stream() -> Response:
        def body() -> Iterator[bytes]:
            log.debug("streaming")
            yield b"x"
            raise LookupError("midway")

        return Response(body())

    return app


def test_flask(harness: Harness) -> None:
    """An error that Flask answers itself, an aborted 503, and good ones."""
    app = flask_app()
    for status in (200, 404, 500, 503):
        ask_wsgi(app, f"/{status}")

    assert story(harness) == [
        "GET /<int:status> 200",
        "GET /<int:status> 404",
        "(looked)",
        "(asked once)",
        "unhandled exception: LookupError",
        "GET /<int:status> 500",
        "(looked)",
        "(asked once)",
        "GET /<int:status> 503",
    ]
    assert nothing_left(harness)


def test_a_flask_stream_that_fails(harness: Harness) -> None:
    """It raises while the server reads it."""
    with suppress(LookupError):
        ask_wsgi(flask_app(), "/stream")

    assert story(harness)[:2] == ["(streaming)", "unhandled exception: LookupError"]
    assert nothing_left(harness)
