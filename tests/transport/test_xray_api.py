"""X-Ray's sampling API over real sockets: through a proxy, and signed."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from svcready._core.optional import require
from svcready._transport.xray_api import ProxyApi, SignedApi, XrayApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATISTICS = [
    {
        "RuleName": "Default",
        "ClientID": "0123456789abcdef01234567",
        "Timestamp": 1_800_000_000,
        "RequestCount": 3,
        "SampledCount": 2,
        "BorrowCount": 1,
    }
]


class Server:
    """Answers every POST with *status* and *content*."""

    def __init__(self) -> None:
        self.status = 200
        self.content = b"{}"
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        self.seen.append((handler.path, dict(handler.headers.items()), body))
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)

        handler.send_header("Content-Length", str(len(self.content)))
        handler.end_headers()
        try:
            handler.wfile.write(self.content)
        except OSError:  # who asked has had enough
            handler.close_connection = True

    def close(self) -> None:
        """Stop it."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server."""
    made = Server()
    yield made
    made.close()


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the URL of a server that takes one connection and lets *talk* have it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            taken, _ = listening.accept()
            with taken:
                asked = b""
                while not asked.endswith(b"\r\n\r\n{}"):  # or closing resets it
                    asked += taken.recv(65536)

                try:
                    talk(taken)
                except OSError:  # the other side is gone
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_the_proxy_is_asked_as_the_daemon_expects(server: Server) -> None:
    """Unsigned JSON over POST, at the API's own paths."""
    api = ProxyApi(server.url)
    server.content = b'{"SamplingRuleRecords": [], "NextToken": "x"}'

    assert api.rules("").body["NextToken"] == "x"
    api.rules("x")
    api.targets(STATISTICS, [])
    api.targets([], [{"RuleName": "Default"}])

    sent = [(path, json.loads(body)) for path, _, body in server.seen]
    assert sent == [
        ("/GetSamplingRules", {}),
        ("/GetSamplingRules", {"NextToken": "x"}),
        ("/SamplingTargets", {"SamplingStatisticsDocuments": STATISTICS}),
        (
            "/SamplingTargets",
            {
                "SamplingStatisticsDocuments": [],
                "SamplingBoostStatisticsDocuments": [{"RuleName": "Default"}],
            },
        ),
    ]
    for _, headers, _ in server.seen:
        assert headers["Content-Type"] == "application/json"
        assert "Authorization" not in headers


def test_the_date_of_an_answer_is_read() -> None:
    """It tells the service's time, whatever our clock says."""

    def talk(taken: socket.socket) -> None:
        date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"
        taken.sendall(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 2\r\n\r\n{}" % date)

    with raw(talk) as url:
        assert ProxyApi(url).rules("").date_s == 784111777.0

    for odd in (b"soon", b"", b"Sun, 99 Nov 1994 99:49:37 GMT"):

        def tell(taken: socket.socket, date: bytes = odd) -> None:
            taken.sendall(b"HTTP/1.0 200 OK\r\nDate: %b\r\n\r\n{}" % date)

        with raw(tell) as url:
            assert ProxyApi(url).rules("").date_s is None


def test_a_path_before_the_apis_is_kept(server: Server) -> None:
    """A gateway may serve the proxy below a path; credentials are not shown."""
    api = ProxyApi(f"{server.url.replace('//', '//user:secret@')}/xray/")
    api.rules("")

    assert server.seen[0][0] == "/xray/GetSamplingRules"
    assert "secret" not in api.name


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (500, b"{}", "HTTP 500"),
        (302, b"{}", "HTTP 302"),
        (200, b"<html>", "not JSON"),
        (200, b"\xff\xfe", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (200, b"[]", "no JSON object"),
        (200, b'{"a": "' + b"x" * 4 * 1024**2 + b'"}', "more than 4194304 bytes"),
    ],
)
def test_what_is_no_answer_is_an_error(
    server: Server, status: int, content: bytes, says: str
) -> None:
    """Whoever answers nonsense is there, and has said nothing."""
    server.status, server.content = status, content

    with pytest.raises(XrayApiError, match=says) as raised:
        ProxyApi(server.url).rules("")

    assert raised.value.answered


def test_a_closed_port_is_an_error() -> None:
    """Nobody is there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]

    with pytest.raises(XrayApiError, match="ConnectionRefusedError") as raised:
        ProxyApi(f"http://127.0.0.1:{port}").rules("")

    assert not raised.value.answered


def test_an_answer_that_hangs_or_trickles_ends_in_time() -> None:
    """The time is the whole call's: a byte now and then does not prolong it."""
    asked = threading.Event()

    def hang(_: socket.socket) -> None:
        asked.wait(30)

    def trickle(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\n")
        while not asked.wait(0.02):
            taken.sendall(b"X")

    for talk in (hang, trickle):
        asked.clear()
        with raw(talk) as url:
            with pytest.raises(XrayApiError, match="TimeoutError"):
                ProxyApi(url, timeout_s=0.3).rules("")

            asked.set()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have botocore find credentials, and nothing else."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.mark.usefixtures("credentials")
def test_the_service_is_asked_signed(server: Server) -> None:
    """By boto3, for the service `xray` in the region, with its own validation."""
    pytest.importorskip("boto3")
    server.content = json.dumps(
        {
            "SamplingTargetDocuments": [
                {"RuleName": "Default", "ReservoirQuotaTTL": 1_800_000_300}
            ],
            "LastRuleModification": 1_800_000_000,
        }
    ).encode()
    api = SignedApi("eu-west-1", endpoint=server.url)
    answer = api.targets(STATISTICS, [])

    path, headers, body = server.seen[0]
    assert path == "/SamplingTargets"
    assert json.loads(body) == {"SamplingStatisticsDocuments": STATISTICS}
    assert re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/xray/aws4_request, "
        r"SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*, Signature=[0-9a-f]{64}",
        headers["Authorization"],
    )
    assert "svcready" in headers["User-Agent"]
    assert answer.date_s is not None
    assert answer.body["LastRuleModification"]

    server.content = b'{"SamplingRuleRecords": []}'
    assert api.rules("")[0]["SamplingRuleRecords"] == []
    api.forget()
    api.rules("again")
    assert [path for path, _, _ in server.seen[1:]] == ["/GetSamplingRules"] * 2


@pytest.mark.usefixtures("credentials")
def test_what_the_service_refuses_is_an_error(server: Server) -> None:
    """With the code that it gave, and no word of what was sent."""
    pytest.importorskip("boto3")
    server.status = 400
    server.headers = {"x-amzn-ErrorType": "InvalidRequestException"}
    api = SignedApi("eu-west-1", endpoint=server.url)

    with pytest.raises(XrayApiError, match="InvalidRequestException") as raised:
        api.targets(STATISTICS, [])

    assert raised.value.answered
    with pytest.raises(XrayApiError, match="ParamValidationError"):
        api.targets([{"SampleCount": 1}], [])


def test_a_package_that_is_missing_is_named() -> None:
    """The message is the command that installs it."""

    def missing(*_: object, **__: object) -> object:
        return require("no_such_boto", extra="aws", needed_for="AWS xray")

    api = SignedApi(client=missing)  # type: ignore[arg-type]

    with pytest.raises(XrayApiError, match=r"pip install \"svcready\[aws\]\"") as it:
        api.rules("")

    assert not it.value.answered
