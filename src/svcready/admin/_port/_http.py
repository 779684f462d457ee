"""HTTP on the operator's port: reads strictly, answers in one piece."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import report_fault
from svcready.admin._exchange import MOST_BODY_BYTES, TEXT, OpsRequest, OpsResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from svcready.admin._surface import OpsSurface

__all__ = ["IDLE_S", "Connections", "OpsHandler"]

IDLE_S = 10.0
"""A request must have arrived whole within it, and an answer have been taken."""

_MOST_HEAD_BYTES = 64 * 1024
_MOST_LINGERED_BYTES = 1024 * 1024
_LINGER_S = 1.0
_LONGEST_LENGTH = 18
_request_line = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} ([\x21-\x7e]+) HTTP/1\.[0-9]"
).fullmatch
_absolute = re.compile(r"https?://([^/?#@]+)([^#]*)", re.IGNORECASE).fullmatch
_folded = re.compile(r"[\r\n\0]").search
_NOT_FOUND = OpsResponse(404, (), b"not found\n")


class Connections(Protocol):
    """What keeps the connections within bounds."""

    def waits(self, request: socket.socket) -> None:
        """Take note that it is the client's turn, to ask or to take the answer."""
        ...

    def answers(self, request: socket.socket) -> None:
        """Take note that a connection's request is here, so that it is left alone."""
        ...


class OpsHandler(BaseHTTPRequestHandler):
    """
    Serves one connection.

    Stricter than its base where two readers could understand a request differently
    (RFC 9112, sections 3, 5 and 6): a path is what was sent, byte for byte; what is
    ambiguous is 400, and no body comes in chunks.
    """

    find_surface: Callable[[], OpsSurface]
    connections: Connections
    peer: str = ""
    """Stands for the address of a client that has none."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    _target = ""

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        self.connections.waits(self.request)
        try:
            super().handle_one_request()
        except OSError:  # the client went away
            self.close_connection = True

    def parse_request(self) -> bool:
        """Read the head; False if it was answered with what is wrong with it."""
        whole = self.rfile
        self.rfile = _Limited(whole)  # type: ignore[assignment]
        try:
            fine = super().parse_request()
        finally:
            self.rfile = whole

        if not fine:
            return False

        wrong = self._look_at_head()
        if wrong:
            self.send_error(*wrong)

        return not wrong

    def handle_expect_100(self) -> bool:
        """Wait with `100 Continue` until the body is wanted."""
        return True

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Answer what is wrong with a request, and end the connection."""
        del message, explain  # they have what the client sent
        self.close_connection = True
        self._send(OpsResponse(int(code), (TEXT,), _phrase(code).encode() + b"\n"))
        self._linger()

    def do_GET(self) -> None:
        """Answer, whatever the method: the surface knows what it takes."""
        try:
            answer = self._answer()
            # Whoever takes it slowly keeps nobody out, as who asks slowly doesn't.
            self.connections.waits(self.request)
            self._send(answer)
            length = self.headers.get("content-length", "0")[:_LONGEST_LENGTH]
            if self.close_connection and int(length):
                self._linger()
        except OSError:  # the client went away
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - the port goes on
            report_fault("admin.port", error)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep probes out of the log."""
        del format, args

    def _look_at_head(self) -> tuple[int] | None:
        """Return the status for a head that is ambiguous or not for us."""
        line = _request_line(self.requestline)
        headers = self.headers
        hosts = headers.get_all("host", ())
        lengths = headers.get_all("content-length", ())
        ambiguous = (
            line is None
            or headers.defects
            or headers.get_payload()
            or any(_folded(value) for value in headers.values())
            or len(hosts) > 1
            or (not hosts and self.request_version != "HTTP/1.0")
            or len(lengths) > 1
            or not all(it.isdecimal() and it.isascii() for it in lengths)
        )
        if line is None or ambiguous:
            return (400,)

        if "transfer-encoding" in headers:
            return (501,) if not lengths else (400,)

        self._target = line[1]
        if not self._target.startswith("/"):
            absolute = _absolute(self._target)
            if absolute is not None:
                # The target counts, and a Host that differs is made for mischief.
                if hosts and hosts[0].strip().lower() != absolute[1].lower():
                    return (400,)

                path = absolute[2]
                self._target = path if path.startswith("/") else f"/{path}"

        return None

    def _header(self, name: str) -> str | None:
        """Return a header; of several their values, so that none is overlooked."""
        values = self.headers.get_all(name)
        return None if values is None else ", ".join(values)

    def _answer(self) -> OpsResponse:
        path, _, query = self._target.partition("?")
        surface = self.find_surface()
        wanted = surface.takes_body(self.command, path)
        body = self._read_body(wanted=wanted)
        client = self.client_address
        request = OpsRequest(
            self.command,
            path,
            query,
            self._header,
            self.peer or str(client[0]),
            body if wanted else b"",
        )
        self.connections.answers(self.request)
        if path in surface.routes:
            return surface.answer(request)

        return _NOT_FOUND

    def _read_body(self, *, wanted: bool) -> bytes | None:
        """Return the body; None if it is too long, empty if it is not as announced."""
        length = self.headers.get("content-length", "0")
        expected = self.headers.get("expect", "").lower() == "100-continue"
        if len(length) > _LONGEST_LENGTH or int(length) > MOST_BODY_BYTES:
            self.close_connection = True
            return None

        if expected and int(length):
            if not wanted:  # it will not come, or as what we could not tell apart
                self.close_connection = True
                return b""

            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        body = self.rfile.read(int(length))
        if len(body) == int(length):
            return body

        self.close_connection = True
        return b""

    def _send(self, answer: OpsResponse) -> None:
        """Write an answer at once, or the end would wait for the client's ACK."""
        said = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        said += [f"{name}: {value}" for name, value in answer.headers]
        said.append(f"content-length: {len(answer.body)}")
        said.append(f"date: {self.date_time_string()}")
        if self.close_connection:
            said.append("connection: close")
        elif self.request_version == "HTTP/1.0":
            said.append("connection: keep-alive")

        head = ("\r\n".join(said) + "\r\n\r\n").encode("latin-1", "replace")
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)

    def _linger(self) -> None:
        """Take what is still coming, or closing would destroy the answer on its way."""
        with suppress(OSError):
            self.connections.waits(self.request)
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(_LINGER_S)
            left = _MOST_LINGERED_BYTES
            while left > 0 and (part := self.request.recv(65536)):
                left -= len(part)


for _method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
    setattr(OpsHandler, f"do_{_method}", OpsHandler.do_GET)


class _Limited:
    """
    Reads lines of a head, which is not endless.

    Args:
        whole: The connection.
    """

    def __init__(self, whole: BufferedIOBase) -> None:
        self._whole = whole
        self._left = _MOST_HEAD_BYTES

    def readline(self, limit: int = -1) -> bytes:
        """Return the next line."""
        line = self._whole.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("header")

        # A lone CR ends a line for the parser and for nobody else: a space, as RFC
        # 9112, section 2.2, has it, or a value could hold a header of its own.
        text = line.rstrip(b"\r\n")
        return line if b"\r" not in text else text.replace(b"\r", b" ") + b"\r\n"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
