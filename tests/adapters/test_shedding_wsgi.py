"""Load shedding over WSGI: a thread that waits for its client has no place then."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from werkzeug.test import create_environ

import svcready
from svcready.resilience._shed._shedding import http_shedder
from svcready.testing import FakeClock, running
from tests.adapters.support import ask_wsgi

SETTINGS = {"http.shedding": "enforce"}


def in_flight() -> int:
    """Return how many requests have a place."""
    return http_shedder().state().in_flight


class Slow(io.BytesIO):
    """A body that takes its time, and notes who has a place meanwhile."""

    def __init__(self, body: bytes, clock: FakeClock) -> None:
        super().__init__(body)
        self.clock = clock
        self.seen: list[int] = []

    def _wait(self) -> None:
        self.seen.append(in_flight())
        self.clock.advance(60.0)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, slowly."""
        self._wait()
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, slowly."""
        self._wait()
        return super().readline(size)

    def readinto(self, into: Any, /) -> int:
        """Read into something, slowly."""
        self._wait()
        return super().readinto(into)


@pytest.fixture
def clock() -> FakeClock:
    """Time that only the test moves."""
    return FakeClock()


@pytest.fixture
def times(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Note the latencies that the limit is found by."""
    told: list[Any] = []
    with running(service="orders", settings=SETTINGS, clock=clock):
        leave = http_shedder().leave

        def noting(admission: int, elapsed_s: float | None) -> None:
            told.append(elapsed_s)
            leave(admission, elapsed_s)

        monkeypatch.setattr(type(http_shedder()), "leave", staticmethod(noting))
        yield told
        assert in_flight() == 0


def test_a_slow_body_holds_no_place(clock: FakeClock, times: list[Any]) -> None:
    """Nor does the time that it takes to come count as the service's own."""
    app = flask.Flask("orders")

    @app.post("/")
    def create() -> str:
        seen.append(in_flight())
        flask.request.get_data()
        seen.append(in_flight())
        clock.advance(0.5)
        return "ok"

    seen: list[int] = []
    svcready.init(service="orders", settings=SETTINGS, app=app)
    body = Slow(b"x" * 10, clock)
    more = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "10", "wsgi.input": body}
    assert ask_wsgi(app.wsgi_app, "/", **more).status == 200
    assert set(body.seen) == {0}
    assert seen == [1, 1]
    assert times == [0.5]


@pytest.mark.parametrize("way", ["read", "readline", "readlines", "iterate"])
def test_every_way_of_reading_gives_what_came(
    clock: FakeClock, times: list[Any], way: str
) -> None:
    """The input is as the server made it, its other abilities included."""
    read: list[object] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        given = environ["wsgi.input"]
        read.append([*given] if way == "iterate" else getattr(given, way)())
        read.append(given.tell())
        start_response("200 OK", [])
        return [b"ok"]

    body = Slow(b"one\ntwo\n", clock)
    more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": body}
    assert ask_wsgi(svcready.wrap(app), "/", **more).status == 200
    whole = {"read": b"one\ntwo\n", "readline": b"one\n"}
    assert read[0] == whole.get(way, [b"one\n", b"two\n"])
    assert read[1] == (4 if way == "readline" else 8)
    assert set(body.seen) <= {0}
    assert len(times) == 1


def test_a_client_that_is_slow_to_read_holds_no_place(
    clock: FakeClock, times: list[Any]
) -> None:
    """While the server sends the one piece of an answer nobody needs its place."""
    app = flask.Flask("orders")

    @app.get("/")
    def show() -> str:
        clock.advance(0.5)
        return "ok"

    svcready.init(service="orders", settings=SETTINGS, app=app)
    pieces = iter(app.wsgi_app(create_environ(), lambda *_: None))  # type: ignore[arg-type]
    assert next(pieces) == b"ok"
    assert in_flight() == 0
    clock.advance(60.0)
    assert next(pieces, None) is None
    pieces.close()  # type: ignore[attr-defined]
    assert times == [0.5]


def test_a_client_that_leaves_while_it_is_sent_to_is_no_matter(
    clock: FakeClock, times: list[Any]
) -> None:
    """A server that closes the body after its first piece ends the request."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    pieces: Any = svcready.wrap(app)(create_environ(), lambda *_: None)
    assert next(pieces) == b"one"
    clock.advance(60.0)
    pieces.close()
    assert times == [0.0]
