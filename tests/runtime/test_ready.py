"""Being ready: what is judged then, what is said, and when it is said again."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from flask import Flask

import svcready
from svcready.testing import running
from tests.servers.harness import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient


@pytest.fixture
def app() -> Flask:
    """Make an application with a metrics page of its own."""
    app = Flask("own")

    @app.get("/metrics")
    def metrics() -> str:
        return "its own"

    @app.get("/orders")
    def orders() -> Iterator[bytes]:
        yield b"1"

    return app


def client(app: Flask) -> FlaskClient:
    """Return a client whose requests have passed the wrapper once."""
    asking = app.test_client()
    asking.get("/orders", buffered=True)
    return asking


def test_strict_mode_keeps_a_service_without_lifespan_out_of_rotation(
    app: Flask,
) -> None:
    """What is judged at the first request fails readiness, not the request."""
    environ = {
        "SVCREADY_CORE_STRICT": "true",
        "SVCREADY_CHECK__NOBODY__TIMEOUT_S": "1",
    }
    with running(environ=environ) as harness:
        harness.runtime.attach(app)
        asking = client(app)

        assert asking.get("/orders", buffered=True).status_code == 200
        assert asking.get("/health/readiness", buffered=True).status_code == 503
        (line,) = [x for x in harness.lines if x.get("event") == "svcready.started"]

    assert "SVCREADY_CHECK__NOBODY__TIMEOUT_S" in str(line["context"])


def test_strict_mode_minds_groups_of_unknown_checks(app: Flask) -> None:
    """A group that names a check nobody declared is an error if strict, else said."""
    environ = {"SVCREADY_GROUP__SHIPPING__CHECKS": "prnter"}
    for strict, status in (("true", 503), ("false", 200)):
        with running(environ={**environ, "SVCREADY_CORE_STRICT": strict}) as harness:
            harness.runtime.attach(app)
            asking = client(app)
            answer = asking.get("/health/readiness", buffered=True)
            (line,) = [x for x in harness.lines if x.get("event") == "svcready.started"]

        assert answer.status_code == status
        assert "'prnter'" in str(line["context"])


def test_a_path_of_the_applications_own_stays_its_own_and_is_told(app: Flask) -> None:
    """An application's /metrics is answered by it, and the start line says so."""
    with running() as harness:
        harness.runtime.attach(app)
        answer = client(app).get("/metrics", buffered=True)
        (notice,) = harness.runtime.notices
        (line,) = [x for x in harness.lines if x.get("event") == "svcready.started"]

    assert answer.text == "its own"
    assert notice.startswith("/metrics is the application's own route")
    assert notice in str(line["context"])
    assert "/metrics" not in harness.runtime.public
    assert harness.runtime.problems() == ()


def test_what_serves_is_said_although_init_came_first() -> None:
    """init() at import and init(app=...) in a factory: the last line names both."""
    with running() as harness:
        harness.runtime.ready()
        harness.runtime.attach(FastAPI())
        harness.runtime.ready()
        lines = [x for x in harness.lines if x.get("event") == "svcready.started"]

    frameworks = [line["context"]["frameworks"] for line in lines]  # type: ignore[index]
    assert frameworks == [[], ["FastAPI"]]


def test_a_body_that_is_read_to_its_end_is_recorded_without_a_close(app: Flask) -> None:
    """Werkzeug's test client closes no response: the request counts all the same."""
    with running() as harness:
        harness.runtime.attach(app)
        before = harness.sample("http_server_active_requests") or 0
        answer = app.test_client().get("/orders")

        assert answer.data == b"1"
        assert len(harness.access_lines) == 1
        assert harness.sample("http_server_active_requests") == before


def test_a_port_in_use_is_a_notice_not_a_problem() -> None:
    """Of several workers one has the operators' port; the others just say so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {
            "SVCREADY_ADMIN_PORT": str(taken.getsockname()[1]),
            "SVCREADY_ADMIN_HOST": "127.0.0.1",
        }
        with running(environ=environ) as harness:
            harness.runtime.wake()

            assert harness.runtime.problems() == ()
            assert "is in use" in harness.runtime.notices[0]


def test_a_scrape_needs_no_thread_of_the_loops_executor() -> None:
    """/metrics answers while handlers occupy every thread of the executor."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    over = Event()
    statuses: list[object] = []

    async def application(scope: object, receive: object, send: object) -> None: ...

    async def scrape() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, over.wait)

        async def receive() -> dict[str, object]:
            return {"type": "http.request"}

        async def send(message: dict[str, object]) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
        wrapped = svcready.wrap(application)
        try:
            await asyncio.wait_for(wrapped(scope, receive, send), 10)
        finally:
            over.set()
            await busy

    with running():
        asyncio.run(scrape())

    assert statuses[0] == 200


def test_an_unmatched_request_says_what_was_asked_for(app: Flask) -> None:
    """The route is one value, so the line of a 404 carries the path, redacted."""
    with running() as harness:
        harness.runtime.attach(app)
        app.test_client().get("/nowhere/password=hunter2", buffered=True)
        (line,) = harness.access_lines

    assert line["http"]["route"] == "__unmatched__"  # type: ignore[index]
    assert line["context"]["path"].startswith("/nowhere/")  # type: ignore[index]
    assert "hunter2" not in str(line)


def test_what_was_lost_is_in_the_last_line() -> None:
    """Spans that no collector took are counted by reason when the service ends."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running(environ=environ) as harness:
        for _ in range(3):
            with svcready.span("work"):
                pass

        harness.runtime.flush(1.0)
        harness.runtime.ready()

    (line,) = [x for x in harness.lines if x.get("event") == "svcready.stopped"]
    spans = line["context"]["lost"]["spans"]  # type: ignore[index]
    assert sum(spans.values()) == 3
    assert line["level"] == "WARN"


async def nothing(scope: object, receive: object, send: object) -> None:
    """Be a bare ASGI application."""


def told(runtime: svcready.Runtime) -> tuple[int, int]:
    """Return what the probes of readiness and start-up answer."""
    health = runtime.health
    assert health is not None
    return health.probe("readiness").status, health.probe("startup").status


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[svcready.Runtime]:
    """A process that called `init()` and has said nothing of an application."""
    monkeypatch.setenv("SVCREADY_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("SVCREADY_ADMIN_PORT", str(free_port()))
    monkeypatch.setattr("svcready._runtime._init.has_wrappers", lambda: False)
    yield svcready.init(service="late")
    svcready.shutdown(1.0)


@pytest.mark.parametrize("how", ["wrap", "init"])
def test_what_is_wrapped_late_is_waited_for(worker: svcready.Runtime, how: str) -> None:
    """
    A worker is ready at once; one that turns out to have an application starts.

    It is ready again when its server says so, and until then has no port.
    """
    assert told(worker) == (200, 200)
    asks = http.client.HTTPConnection("127.0.0.1", worker.settings.admin.port)
    with contextlib.closing(asks):
        asks.request("GET", "/health/readiness")
        assert asks.getresponse().status == 200

    app = FastAPI()
    wrapped = svcready.wrap(nothing) if how == "wrap" else app
    if how == "init":
        svcready.init(service="late", app=app)

    assert told(worker) == (503, 503)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", worker.settings.admin.port))

    worker.wake()
    worker.ready()

    assert told(worker) == (200, 200)
    assert worker.serves
    assert wrapped is not None  # what is gone serves nobody


def test_an_application_that_comes_later_stops_no_server(
    worker: svcready.Runtime,
) -> None:
    """Once a server has said that it serves, another application changes nothing."""
    svcready.init(service="late", app=FastAPI())
    worker.ready()
    svcready.init(service="late", app=FastAPI())

    assert told(worker) == (200, 200)


def test_a_breaker_that_sees_no_call_that_hangs_is_told(app: Flask) -> None:
    """The start line says of a deadline without a time-out what it means."""
    with running() as harness:
        svcready.policy("hung", deadline=5, breaker=True)
        harness.runtime.attach(app)
        client(app).get("/metrics", buffered=True)
        (line,) = [x for x in harness.lines if x.get("event") == "svcready.started"]

    assert "policy hung: its deadline of 5 s cuts off a call" in str(line["context"])
