"""The operator's own port among clients who are slow, silent or many."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from svcready.admin import OpsRequest, OpsResponse
from svcready.admin._port import OpsPort, _Handler
from svcready.testing import FakeClock
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 16
REQUEST = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n"


class Surface:
    """Answers a probe, and another path only when it is told to."""

    routes = frozenset({"/health/liveness", "/slow"})

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

        return OpsResponse(200, (), b"ok")


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
