"""The operator's own port among clients who are slow, silent or many."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from svcready.admin import OpsRequest, OpsResponse, build_surface
from svcready.admin._port._http import OpsHandler as _Handler
from svcready.admin._port._port import OpsPort
from svcready.testing import FakeClock, running
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 16
REQUEST = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"


class Surface:
    """Answers a probe, and another path only when it is told to."""

    routes = frozenset({"/health/liveness", "/slow", "/long"})

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.goes_on = threading.Event()

    def takes_body(self, method: str, path: str) -> bool:
        """Read no bodies."""
        return False

    def answer(self, request: OpsRequest) -> OpsResponse:
        """Answer, if need be late."""
        if request.path == "/slow":
            self.asked.release()
            assert self.goes_on.wait(30)

        body = b"a" * 50_000_000 if request.path == "/long" else b"ok"
        return OpsResponse(200, (), body)


@pytest.fixture
def clock() -> FakeClock:
    """Time that passes by `advance`."""
    return FakeClock()


@pytest.fixture
def surface() -> Surface:
    """What is served."""
    return Surface()


@pytest.fixture
def port(surface: Surface, clock: FakeClock) -> Iterator[int]:
    """Open a port."""
    opened = OpsPort(surface, "127.0.0.1", 0, clock=clock)  # type: ignore[arg-type]
    yield opened.port
    surface.goes_on.set()
    opened.close()


def connect(port: int) -> socket.socket:
    """Connect, and wait for no answer longer than a test may."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def probe(port: int) -> int:
    """Ask as an orchestrator does, on a connection of its own."""
    with urlopen(f"http://127.0.0.1:{port}/health/liveness", timeout=30) as answer:
        status: int = answer.status
        return status


def serving() -> int:
    """Return how many threads there are for connections."""
    return sum("process_request_thread" in it.name for it in threading.enumerate())


def test_idle_connections_keep_no_probe_out(port: int) -> None:
    """Three hundred of them have 16 threads, and a probe is answered all the same."""
    clients = [connect(port) for _ in range(300)]
    try:
        for client in clients[::2]:
            client.sendall(b"GET /health/liv")  # the start of a request, and no more

        assert probe(port) == 200
        # Who has made room may still be about to end; without a bound none would.
        eventually(lambda: serving() <= MOST, "16 threads")
    finally:
        for client in clients:
            client.close()


def test_an_idle_connection_that_ends_late_keeps_no_probe_out(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a thread takes its time to end: another makes room instead."""
    ending, goes_on = threading.Semaphore(1), threading.Event()
    finish = _Handler.finish

    def finish_late(handler: _Handler) -> None:
        if ending.acquire(blocking=False):
            assert goes_on.wait(30)

        finish(handler)

    monkeypatch.setattr(_Handler, "finish", finish_late)
    clients = [connect(port) for _ in range(MOST)]
    try:
        assert probe(port) == 200
        assert not ending.acquire(blocking=False)
    finally:
        goes_on.set()
        for client in clients:
            client.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12
def test_a_forked_child_keeps_no_connection() -> None:
    """Or a client would wait for the end of it as long as the child lives."""
    opened = OpsPort(Surface(), "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        with connect(opened.port) as client:
            client.sendall(REQUEST)
            assert client.recv(4096).endswith(b"ok")
            (accepted,) = (each.fileno() for each in opened._server._open)
            child = os.fork()
            if not child:
                opened.forget()
                try:
                    os.fstat(accepted)
                except OSError:
                    os._exit(0)

                os._exit(1)

            assert os.waitpid(child, 0)[1] == 0
    finally:
        opened.close()


def test_a_request_that_drips_in_is_given_up(port: int, clock: FakeClock) -> None:
    """Each byte comes in time, and the whole doesn't."""
    with connect(port) as client:
        client.sendall(REQUEST[:-2] + b"X-Long: ")
        for _ in range(600):
            if select.select([client], [], [], 0.05)[0]:
                break

            client.sendall(b"a")
            clock.advance(1)

        try:
            assert client.recv(4096) == b""
        except ConnectionResetError:
            pass

    assert clock.monotonic() - FakeClock().monotonic() >= 10


def test_answers_that_nobody_takes_keep_no_probe_out(port: int) -> None:
    """Sixteen who ask for a long page and don't read it make room for a probe."""
    clients = [connect(port) for _ in range(MOST)]
    try:
        for client in clients:
            client.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1) == b"H"

        assert probe(port) == 200
    finally:
        for client in clients:
            client.close()


def test_what_is_being_answered_is_left_alone(port: int, surface: Surface) -> None:
    """With 16 answers on their way a further client is sent away, not they."""
    busy = [connect(port) for _ in range(MOST)]
    try:
        for client in busy:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            assert surface.asked.acquire(timeout=30)

        with connect(port) as late:
            assert late.recv(4096) == b""

        surface.goes_on.set()
        for client in busy:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        for client in busy:
            client.close()

    assert probe(port) == 200


@pytest.mark.parametrize(("name", "value"), [("PORT", "909O"), ("SOCKET", "ops.sock")])
def test_a_malformed_address_makes_nothing_public(name: str, value: str) -> None:
    """Who asks for a port of its own gets /metrics and /admin on no other."""
    environ = {f"SVCREADY_ADMIN_{name}": value, "SVCREADY_ADMIN_TOKENS": "t" * 32}
    with running(environ=environ) as harness:
        (problem,) = harness.runtime.problems()
        assert "neither /metrics nor /admin is served" in problem
        paths = build_surface(harness.runtime).routes.keys()
        assert "/health/liveness" in paths
        assert not [path for path in paths if path.startswith(("/metrics", "/admin"))]
        harness.runtime.ready()
        (told,) = [x for x in harness.lines if x.get("event") == "svcready.started"]
        assert "ops_" not in str(told["context"])
