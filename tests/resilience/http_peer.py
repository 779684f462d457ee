"""A real HTTP server in a thread, which does what a path says and counts."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


class Peer:
    """
    The server as tests see it.

    Paths: `/status/503?retry-after=1` answers so, with what the query says as headers;
    `/drop` closes without an answer; `/hang` answers when the test says so; `/cut`
    ends within its body; `/garbage` is no HTTP; `/to/303/drop` redirects to `/drop`.
    A script goes before the path: what was `then`ned, one a request.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        """Method, path, headers by lower-case name, and body of each request."""
        self.script: list[str] = []
        self.asked = threading.Event()
        """Set by the first request."""
        self.go_on = threading.Event()
        """Lets what hangs go on."""

    def then(self, *paths: str) -> None:
        """Answer the next requests as these paths would be, whatever they ask for."""
        self.script += paths

    @property
    def methods(self) -> list[str]:
        """The methods of all requests, in order."""
        return [method for method, _, _, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    peer: Peer

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.peer.requests.append((self.command, self.path, headers, body))
        self.peer.asked.set()
        path = self.peer.script.pop(0) if self.peer.script else self.path
        parts = urlsplit(path)
        what, _, rest = parts.path.lstrip("/").partition("/")
        if what == "status":
            self._answer(int(rest), dict(parse_qsl(parts.query)))
        elif what == "to":
            status, _, target = rest.partition("/")
            self._answer(int(status), {"Location": f"/{target}"})
        elif what == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif what == "hang":
            self.peer.go_on.wait(30)
            self._answer(200, {})
        elif what == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif what == "long":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1_000_000)
        elif what == "garbage":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
            self.close_connection = True
        else:
            self._answer(200, {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()

            self.rfile.readline()
            return body

        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        text = f"answer {len(self.peer.requests)}".encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)

        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._serve

        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Take clients that leave for what they are."""


@contextmanager
def peer(tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Serve for the length of a block, over TLS if there is a context for it."""

    class Handler(_Handler):
        pass

    server = _Server(("127.0.0.1", 0), Handler)
    Handler.peer = served = Peer(server.server_address[1])
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        served.url = served.url.replace("http", "https")

    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield served
    finally:
        served.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def refused() -> str:
    """Return a URL where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]

    return f"http://127.0.0.1:{port}"
