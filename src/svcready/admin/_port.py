"""The operator's own port: the same surface on a thread of its own."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import itemgetter
from socketserver import TCPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import report_fault
from svcready.admin._exchange import MOST_BODY_BYTES, OpsRequest

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.admin._surface import OpsSurface

__all__ = ["OpsPort"]

_IDLE_S = 10.0
_MOST_CONNECTIONS = 16
_MAKING_ROOM_S = 0.25
_MOST_ENDED = 4
"""Together a second, after which a probe has given up by itself."""
_LONGEST_LENGTH = 18


class OpsPort:
    """
    Serves an operator's surface on a port of its own, as long as the process lives.

    It answers when the application's own server is busy or has none at all: a worker
    has probes and metrics too. Each connection has a thread, and there are at most 16:
    a further one takes the place of the one that has said nothing for longest, so that
    idle or slow clients keep no probe out, and is closed if all are being answered.
    A request must have arrived whole within 10 seconds.

    Args:
        surface: What is served.
        host: The address to listen on.
        port: The port.
        clock: Measures how long a connection says nothing.

    Raises:
        OSError: The port cannot be had; another worker may have it.
    """

    def __init__(
        self, surface: OpsSurface, host: str, port: int, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        class Handler(_Handler):
            """Answers from this port's surface."""

        Handler.surface = surface
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = _Server(family, (host, port), Handler, clock)
        self.port: int = self._server.server_address[1]
        """The port that it listens on."""
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.5},
            name="svcready-ops-port",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and let those go who ask nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._server.dismiss(float("inf"))

    def forget(self) -> None:
        """Let go of the parent's socket in a forked child, whose thread is not here."""
        self._server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        family: socket.AddressFamily,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        clock: Clock,
    ) -> None:
        self.address_family = family
        self._now = clock.monotonic
        self._slots = threading.Semaphore(_MOST_CONNECTIONS)
        self._waiting: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind, and don't ask name servers for our own name, which can take seconds."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def process_request(  # type: ignore[override]  # TCP: always a socket
        self, request: socket.socket, client_address: object
    ) -> None:
        """Answer on a thread of its own, if there is one to be had."""
        if not (self._slots.acquire(blocking=False) or self._make_room()):
            self.shutdown_request(request)
            return

        self.waits(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._left(request)
            raise

    def process_request_thread(  # type: ignore[override]  # as above
        self, request: socket.socket, client_address: object
    ) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._left(request)

    def service_actions(self) -> None:
        """End the connections that have said nothing for too long; asked often."""
        self.dismiss(self._now() - _IDLE_S)

    def waits(self, request: socket.socket) -> None:
        """Take note that a connection's next request is awaited from now on."""
        self._waiting[request] = self._now()

    def answers(self, request: socket.socket) -> None:
        """Take note that a connection's request is here, so that it is left alone."""
        self._waiting.pop(request, None)

    def dismiss(self, before_s: float) -> None:
        """End the connections that have waited for a request since *before_s*."""
        for request, since_s in tuple(self._waiting.items()):
            if since_s <= before_s:
                self._end(request)

    def _make_room(self) -> bool:
        for ended in range(_MOST_ENDED):
            waiting = tuple(self._waiting.items())
            if waiting:
                self._end(min(waiting, key=itemgetter(1))[0])
            elif not ended:
                return False

            # Its thread may be late on a busy machine, or have begun to answer.
            if self._slots.acquire(timeout=_MAKING_ROOM_S):
                return True

        return False

    def _end(self, request: socket.socket) -> None:
        self._waiting.pop(request, None)
        try:
            request.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
        except OSError:  # it was faster
            pass

    def _left(self, request: socket.socket) -> None:
        self._waiting.pop(request, None)
        self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Take a client that went away for what it is."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    surface: OpsSurface
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "svcready"
    sys_version = ""
    timeout = _IDLE_S

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        self.server.waits(self.request)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        self._answer()

    def do_POST(self) -> None:
        """Answer a POST: the surface refuses it where it only reads."""
        self.close_connection = True
        self._answer()

    def do_DELETE(self) -> None:
        """Answer a DELETE, as a POST."""
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep probes out of the log."""
        del format, args

    def _read_body(self) -> bytes | None:
        """Return the body; None if it is too long, empty if it is not as announced."""
        length = self.headers.get("content-length", "")
        if not (length.isdecimal() and length.isascii()):
            return b""

        if len(length) > _LONGEST_LENGTH or int(length) > MOST_BODY_BYTES:
            return None

        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else b""

    def _answer(self) -> None:
        # What follows on the connection could be part of a body that was not read.
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            self.close_connection = True

        parts = urlsplit(self.path)
        try:
            takes_body = self.surface.takes_body(self.command, parts.path)
            request = OpsRequest(
                self.command,
                parts.path,
                parts.query,
                self.headers.get,
                str(self.client_address[0]),
                self._read_body() if takes_body else b"",
            )
            self.server.answers(self.request)
            if parts.path in self.surface.routes:
                status, headers, body = self.surface.answer(request)
            else:
                status, headers, body = 404, (), b"not found\n"

            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)

            self.send_header("content-length", str(len(body)))
            if self.close_connection:
                self.send_header("connection", "close")

            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:  # the client went away
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - the port goes on
            report_fault("admin.port", error)
            self.close_connection = True
