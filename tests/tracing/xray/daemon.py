"""A socket that takes datagrams as the X-Ray daemon does."""

from __future__ import annotations

import json
import select
import socket
import time

from tests.tracing.xray.schema import check

_LONGEST_S = 10.0


class FakeDaemon:
    """
    Listens for documents and holds each to the schema.

    Args:
        host: Where to listen.
        port: The port; 0 takes a free one.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def receive(self, documents: int, within_s: float = _LONGEST_S) -> list[Document]:
        """
        Return so many documents, in the order in which they came.

        Raises:
            TimeoutError: They did not come.
        """
        ends = time.monotonic() + within_s
        received: list[bytes] = []
        while len(received) < documents:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(received)} of {documents} documents came")

            received += self._waiting(left)

        return [read(datagram) for datagram in received]

    def waiting(self, within_s: float = 0.0) -> list[Document]:
        """Return what is there, or comes first within so many seconds."""
        return [read(datagram) for datagram in self._waiting(within_s)]

    def _waiting(self, within_s: float) -> list[bytes]:
        received: list[bytes] = []
        while select.select([self._socket], [], [], 0 if received else within_s)[0]:
            received.append(self._socket.recv(65_536))

        return received

    def close(self) -> None:
        """Stop listening; what comes later is refused."""
        self._socket.close()


Document = dict[str, object]


def read(datagram: bytes) -> Document:
    """
    Return the document of a datagram, read as the daemon reads it.

    Raises:
        ValueError: It is none that the daemon would take.
    """
    header, newline, body = datagram.partition(b"\n")
    told = json.loads(header)
    if not newline or told.get("format", "").lower() != "json" or told["version"] != 1:
        raise ValueError(f"{header!r} is no header")

    if len(body) > 64 * 1024:
        raise ValueError(f"a document of {len(body)} bytes is too large")

    document: Document = json.loads(body)
    check(document)
    return document
