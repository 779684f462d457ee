"""The check of HTTP addresses, against servers that are up, down, hanging and odd."""

from __future__ import annotations

import base64
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.errors import DeclarationError
from tests.health.checks.asked import SOON_S, ask, drip, serving, target
from tests.health.checks.certificates import save
from tests.health.rig import HeldPool, Rig
from tests.servers.relay import Relay

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers with the status that the path says."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str]]]

    def do_GET(self) -> None:
        """Answer."""
        fields = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, fields))
        status = int(self.path.strip("/").partition("?")[0] or 200)
        self.send_response(status)
        self.send_header("Content-Length", "5")
        if 300 <= status < 400:
            self.send_header("Location", "/500")

        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"h\xc3\xa9llo"[:5])

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Run a real server."""
    handler = type("Fresh", (Handler,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.seen = handler.seen  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def at(server: ThreadingHTTPServer, path: str = "/") -> str:
    """Return the URL of *path*."""
    return f"http://127.0.0.1:{server.server_port}{path}"


def seen(server: ThreadingHTTPServer) -> list[tuple[str, str, dict[str, str]]]:
    """Return the requests so far."""
    found: list[tuple[str, str, dict[str, str]]] = server.seen  # type: ignore[attr-defined]
    return found


def test_up_down_hanging_and_up_again(server: ThreadingHTTPServer) -> None:
    """The check follows its peer, and is back within its time-out when it hangs."""
    with Relay(server.server_port) as relay:
        health.add_http(f"http://127.0.0.1:{relay.port}/", name="api")
        assert ask("api") == health.CheckResult("pass")

        relay.refuse()
        down = ask("api")
        assert down.status == "fail"
        assert down.output.endswith("nothing listens there (connection refused)")

        relay.swallow()
        began = perf_counter()
        hanging = ask("api", 0.3)
        assert perf_counter() - began < SOON_S
        assert hanging.status == "fail"
        assert hanging.output == f"{target('api')}: no answer within 0.3 s"

        relay.through()
        assert ask("api").status == "pass"
        assert relay.most_connections <= 2


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 2", b"0"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["headers", "status", "interim", "body", "chunks"],
)
def test_a_peer_that_drips_ends_in_time(begin: bytes, drop: bytes) -> None:
    """Each read has bytes soon, and yet the whole is over within the time-out."""
    with serving(drip(begin, drop)) as port:
        health.add_http(f"http://127.0.0.1:{port}/", name="api", contains="never")
        began = perf_counter()
        said = ask("api", 0.3)
        assert perf_counter() - began < SOON_S

    assert said.status == "fail"
    assert said.output.endswith(": no answer within 0.3 s")


def test_without_a_text_to_find_the_body_is_not_waited_for() -> None:
    """A stream that never ends has answered."""
    with serving(drip(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        health.add_http(f"http://127.0.0.1:{port}/events", name="api")
        assert ask("api").status == "pass"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it broke the connection off"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not HTTP (BadStatusLine)"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "not HTTP (HTTPException)"),
        (b"HTTP/1.1 200 " + b"x" * 70_000, "not HTTP (LineTooLong)"),
    ],
    ids=["nothing", "another protocol", "too many headers", "too long"],
)
def test_what_is_no_answer_fails_in_plain_words(answer: bytes, said: str) -> None:
    """Neither another protocol nor a flood is taken for one."""

    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with serving(handle) as port:
        health.add_http(f"http://127.0.0.1:{port}/", name="api")
        result = ask("api")

    assert result.status == "fail"
    assert said in result.output


@pytest.mark.parametrize(
    ("path", "expected", "passes"),
    [
        ("/200", range(200, 400), True),
        ("/302", range(200, 400), True),
        ("/404", range(200, 400), False),
        ("/503", range(200, 400), False),
        ("/401", 401, True),
        ("/200", 204, False),
        ("/429", (200, 429), True),
    ],
)
def test_the_status_decides(
    server: ThreadingHTTPServer, path: str, expected: object, *, passes: bool
) -> None:
    """And a redirect is an answer: it is not followed."""
    health.add_http(at(server, path), name="api", status=expected)  # type: ignore[arg-type]
    said = ask("api")
    assert said.status == ("pass" if passes else "fail")
    assert said.output == ("" if passes else f"{at(server, path)} answers {path[1:]}")
    assert [request[1] for request in seen(server)] == [path]


def test_the_body_must_contain_the_text(server: ThreadingHTTPServer) -> None:
    """As UTF-8; what is looked for is not told."""
    health.add_http(at(server), name="there", contains="hél")
    health.add_http(at(server), name="absent", contains="s3cret")
    assert ask("there").status == "pass"

    absent = ask("absent")
    assert absent.status == "fail"
    assert "s3cret" not in absent.output


def test_what_is_sent(server: ThreadingHTTPServer) -> None:
    """One request that asks for nothing to be kept open, with the caller's headers."""
    health.add_http(
        at(server, "/200?deep=1"),
        name="api",
        method="HEAD",
        headers={"X-Probe": "1", "user-agent": "me"},
    )
    assert ask("api").status == "pass"
    assert seen(server) == [
        (
            "HEAD",
            "/200?deep=1",
            {
                "host": f"127.0.0.1:{server.server_port}",
                "accept-encoding": "identity",
                "connection": "close",
                "user-agent": "me",
                "x-probe": "1",
            },
        )
    ]


def test_credentials_are_sent_and_nowhere_shown(server: ThreadingHTTPServer) -> None:
    """Neither those in the URL nor its query, in name, target or output."""
    url = at(server, "/503?token=t0k").replace("//", "//joe:p%40ss@")
    health.add_http(url)
    name = f"http-127.0.0.1-{server.server_port}"
    said = ask(name)

    assert seen(server)[0][2]["authorization"] == "Basic " + (
        base64.b64encode(b"joe:p@ss").decode()
    )
    assert target(name) == at(server, "/503")
    shown = f"{target(name)} {said.output}"
    assert not any(secret in shown for secret in ("joe", "p%40ss", "p@ss", "t0k"))


def test_a_webhooks_address_is_hidden(make_rig: Callable[..., Rig]) -> None:
    """The path itself is the credential: the report masks it."""
    path = "services/T000/B000/XXXXXXXXXXXXXXXXXXXXXXXX"
    health.add_http(f"https://hooks.slack.com/{path}", name="chat", timeout=0.1)
    report = str(make_rig(HeldPool).start().pillar.report())
    assert "hooks.slack.com/services/[redacted:webhook]" in report
    assert "XXXX" not in report


def test_https_is_verified(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    """A private authority's certificate is refused until it is trusted."""
    file = save(tmp_path, days=9, names=("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=str(file))
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    url = f"https://localhost:{server.server_port}/"
    health.add_http(url, name="unknown")
    health.add_http(url, name="trusted", ssl_context=trusting, contains="h")
    health.add_http(
        url.replace("localhost", "127.0.0.1"), name="other", ssl_context=trusting
    )

    assert ask("trusted", 5) == health.CheckResult("pass")
    said = ask("unknown", 5)
    assert said.status == "fail"
    assert ": its certificate is not trusted (" in said.output
    assert "127.0.0.1" in ask("other", 5).output


def test_a_handshake_that_drips_ends_in_time() -> None:
    """The whole of it has one time-out."""
    with serving(drip(b"\x16\x03\x03\x40\x00", b"\x02")) as port:
        health.add_http(f"https://localhost:{port}/", name="api")
        ask("api", 0.3)  # loads the authorities
        began = perf_counter()
        said = ask("api", 0.3)
        assert perf_counter() - began < SOON_S

    assert said.output.endswith(": no answer within 0.3 s")


def test_plain_http_where_tls_is_meant(server: ThreadingHTTPServer) -> None:
    """It is said in words."""
    health.add_http(f"https://127.0.0.1:{server.server_port}/", name="api")
    assert ask("api", 5).output.endswith("TLS failed (wrong version number)")


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "ftp://host/"},
        {"url": "http://"},
        {"url": "http://host:0/"},
        {"url": "http://host:99999/"},
        {"url": "http://joe:hunter2@ho st/"},
        {"url": None},
        {"status": 99},
        {"status": ()},
        {"status": "200"},
        {"status": True},
        {"method": "get"},
        {"method": "GET /\r\n"},
        {"method": "HEAD", "contains": "x"},
        {"contains": b"x"},
        {"headers": {"a b": "x"}},
        {"headers": {"Authorization": "Bearer hunter2\r\nX: y"}},
        {"timeout": -1},
        {"name": "Not A Name"},
    ],
)
def test_wrong_arguments_raise_at_once(arguments: dict[str, object]) -> None:
    """And the error repeats no credential."""
    with pytest.raises(DeclarationError) as raised:
        health.add_http(**({"url": "http://host/"} | arguments))  # type: ignore[arg-type]

    assert "hunter2" not in str(raised.value)


def test_the_same_twice_is_one_check_and_another_is_a_mistake() -> None:
    """An application factory may declare it again; two subjects need two names."""
    health.add_http("http://host/a")
    health.add_http("http://host/a", timeout=1)
    with pytest.raises(DeclarationError, match="http-host"):
        health.add_http("http://host/b")


def test_long_names_are_cut() -> None:
    """A host may be longer than a name."""
    host = "a" * 60 + ".example"
    health.add_http(f"http://{host}/")
    from svcready.health._check import CHECKS

    (name,) = CHECKS.names()
    assert name.startswith("http-a")
    assert len(name) <= 64
    assert target(name) == f"http://{host}/"
