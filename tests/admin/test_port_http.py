"""HTTP on the operator's port: what is ambiguous is refused, and nothing is guessed."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from svcready.admin import OpsRequest, OpsResponse
from svcready.admin._port._port import OpsPort

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = b"Host: x\r\n"
END = b"\r\n"


class Surface:
    """Echoes what it was asked; takes the body of a POST to /taking."""

    routes = frozenset({"/health/liveness", "/admin", "/admin/health", "/taking"})

    def __init__(self) -> None:
        self.asked: list[OpsRequest] = []

    def takes_body(self, method: str, path: str) -> bool:
        """Read bodies of one path."""
        return method == "POST" and path == "/taking"

    def answer(self, request: OpsRequest) -> OpsResponse:
        """Answer, and remember."""
        self.asked.append(request)
        status = 405 if request.method not in {"GET", "HEAD", "POST"} else 200
        return OpsResponse(status, (("x-kind", "test"),), request.path.encode())


@pytest.fixture
def surface() -> Surface:
    """What is served."""
    return Surface()


@pytest.fixture
def port(surface: Surface) -> Iterator[int]:
    """Open a port."""
    opened = OpsPort(surface, "127.0.0.1", 0)  # type: ignore[arg-type]
    yield opened.port
    opened.close()


def talk(port: int, sent: bytes) -> bytes:
    """Send bytes, no more after them, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(65536), b""))


def get(target: bytes, headers: bytes = HOST, version: bytes = b"1.1") -> bytes:
    """Return a request."""
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + headers + END


@pytest.mark.parametrize(
    "target",
    [
        b"//admin/health",
        b"/admin//health",
        b"/./admin/health",
        b"/admin/./health",
        b"/admin/%2e",
        b"/admin/%68ealth",
        b"/%61dmin/health",
        b"/x/../admin/health",
        b"/admin/health/",
        b"/admin/health;x",
        b"/ADMIN/health",
        b"/admin/health%00",
        b"/admin/health#x",
        b"//x/admin/health",
        b"http://x//admin/health",
        b"*",
        b"admin/health",
    ],
)
def test_a_path_is_what_was_sent(port: int, surface: Surface, target: bytes) -> None:
    """No other spelling of a path is taken for it."""
    assert talk(port, get(target)).startswith(b"HTTP/1.1 404 ")
    assert surface.asked == []


def test_an_absolute_target_is_understood(port: int, surface: Surface) -> None:
    """A proxy's form of a target is that path, if the host is the one of the header."""
    answer = talk(port, get(b"http://x/admin/health?a=b"))
    differs = talk(port, get(b"http://evil/admin/health"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [(r.path, r.query) for r in surface.asked] == [("/admin/health", "a=b")]
    assert differs.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /admin\r\n\r\n", 400),  # HTTP/0.9
        (get(b"/admin", version=b"2.0"), 505),
        (get(b"/admin", version=b"1.x"), 400),
        (get(b"/admin", b""), 400),
        (get(b"/admin", HOST + HOST), 400),
        (b"GET  /admin HTTP/1.1\r\n" + HOST + END, 400),
        (b"GET\t/admin HTTP/1.1\r\n" + HOST + END, 400),
        (b"GET /admin\x0bHTTP/1.1\r\n" + HOST + END, 400),
        (b"G@T /admin HTTP/1.1\r\n" + HOST + END, 400),
        (b"BREW /admin HTTP/1.1\r\n" + HOST + END, 501),
        (get(b"/adm\xe9n"), 400),
        (get(b"/admin", HOST + b"Content-Length : 5\r\n"), 400),
        (get(b"/admin", HOST + b"X: a\r\n b\r\n"), 400),
        (get(b"/admin", HOST + b"Content-Length: +5\r\n"), 400),
        (get(b"/admin", HOST + b"Content-Length: -1\r\n"), 400),
        (get(b"/admin", HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (get(b"/admin", HOST + b"Content-Length: 1, 1\r\n"), 400),
        (get(b"/admin", HOST + b"Transfer-Encoding: chunked\r\n"), 501),
        (
            get(
                b"/admin", HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"
            ),
            400,
        ),
        (get(b"/" + b"a" * 70_000), 414),
        (get(b"/admin", HOST + b"X: " + b"a" * 70_000 + END), 431),
        (get(b"/admin", HOST + b"".join(b"X%d: a\r\n" % n for n in range(200))), 431),
        (
            get(
                b"/admin",
                HOST + b"".join(b"X%d: " % n + b"a" * 9000 + END for n in range(9)),
            ),
            431,
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
    ],
)
def test_what_is_ambiguous_is_refused(
    port: int, surface: Surface, request_bytes: bytes, status: int
) -> None:
    """It gets one answer, ends the connection, and is never passed on."""
    hidden = get(b"/admin")

    answer = talk(port, request_bytes + hidden)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert surface.asked == []


def test_a_refusal_arrives_though_more_is_on_its_way(port: int) -> None:
    """Closing at once would reset the connection, and the client see no answer."""
    endless = get(b"/admin", HOST + b"X: " + b"a" * 600_000 + END)
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(endless[:100_000])
        first = line.recv(1)  # it has been refused by now
        for start in range(100_000, len(endless), 100_000):
            line.sendall(endless[start : start + 100_000])

        line.shutdown(socket.SHUT_WR)
        rest = b"".join(iter(lambda: line.recv(65536), b""))

    assert (first + rest).startswith(b"HTTP/1.1 431 ")


def test_requests_in_a_row_are_answered_in_order(port: int) -> None:
    """Pipelined requests share a connection, as a HEAD without body does."""
    head = b"HEAD /admin HTTP/1.1\r\n" + HOST + END
    sent = get(b"/health/liveness") + head + get(b"/nothing") + get(b"/admin")

    answer = talk(port, sent)

    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"404", b"200"]
    first, second, _, _ = answer.split(b"HTTP/1.1 ")[1:]
    assert first.endswith(b"\r\n\r\n/health/liveness")
    assert second.endswith(b"\r\n\r\n")
    assert b"content-length: 6\r\n" in second


def test_http_1_0_ends_unless_it_asks_to_stay(port: int) -> None:
    """An old prober needs no Host; the connection stays if both say so."""
    once = talk(port, get(b"/admin", b"", b"1.0") + get(b"/admin", b"", b"1.0"))
    stays = b"Connection: keep-alive\r\n"
    twice = talk(port, get(b"/admin", stays, b"1.0") + get(b"/admin", b"", b"1.0"))

    assert once.count(b"HTTP/1.1 200 ") == 1
    assert b"connection: close" in once
    assert twice.count(b"HTTP/1.1 200 ") == 2
    assert twice.count(b"connection: keep-alive") == 1


@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"OPTIONS", b"DELETE"])
def test_methods_are_the_surfaces_business(port: int, method: bytes) -> None:
    """The surface is asked whatever the method, where there is such a path."""
    known = talk(port, method + b" /admin HTTP/1.1\r\n" + HOST + END)
    unknown = talk(port, method + b" /nothing HTTP/1.1\r\n" + HOST + END)

    assert known.startswith(b"HTTP/1.1 405 ")
    assert unknown.startswith(b"HTTP/1.1 404 ")


def test_a_body_is_asked_for_only_where_it_is_wanted(
    port: int, surface: Surface
) -> None:
    """`100 Continue` is said before a body that is read, and to nobody else."""
    head = HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"

    taken = talk(port, b"POST /taking HTTP/1.1\r\n" + head + b"{}")
    refused = talk(port, b"POST /admin HTTP/1.1\r\n" + head)

    assert taken.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert refused.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in refused
    assert [request.body for request in surface.asked] == [b"{}", b""]


def test_a_body_is_no_further_request(port: int, surface: Surface) -> None:
    """A body is taken off the connection, wanted or not, and the next one follows."""
    hidden = get(b"/admin/health")
    head = HOST + b"Content-Length: %d\r\n\r\n" % len(hidden)

    answer = talk(port, b"GET /admin HTTP/1.1\r\n" + head + hidden + get(b"/admin"))

    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert [request.path for request in surface.asked] == ["/admin", "/admin"]


def test_a_body_that_is_too_long_still_lets_the_answer_through(
    port: int, surface: Surface
) -> None:
    """Who sends a megabyte reads the answer, and not that the connection broke."""
    body = b"a" * 1_000_000
    head = b"POST /taking HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"

    answer = talk(port, head % len(body) + body)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [request.body for request in surface.asked] == [None]


def test_an_answer_is_one_write(port: int) -> None:
    """On a connection that stays, no answer waits for an acknowledgement (40 ms)."""
    took = []
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        for _ in range(20):
            began_s = time.monotonic()
            line.sendall(get(b"/admin"))
            while not line.recv(65536).endswith(b"/admin"):
                pass

            took.append(time.monotonic() - began_s)

    assert sorted(took)[10] < 0.03
