"""A server that answers what it is told to, byte by byte, or not at all."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    Manners = Callable[[socket.socket, "RudeServer"], None]

__all__ = ["RudeServer", "answer", "drip", "hang", "read_request", "reset"]


class RudeServer:
    """
    Takes connections one after the other and treats each as *manners* say.

    Args:
        manners: Gets the connection, and this server.
        certificate: Makes it speak TLS: the files of a certificate and its key.
    """

    def __init__(
        self, manners: Manners, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self._manners = manners
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)

        self.connections = 0
        self.over = threading.Event()
        """The test has ended."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://localhost:{self._listener.getsockname()[1]}"

    def __enter__(self) -> RudeServer:
        """Listen."""
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and let everything go that hangs."""
        self.over.set()
        with socket.create_connection(self._listener.getsockname()):
            pass

        self._accepting.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.over.is_set():
                connection.close()
                return

            self.connections += 1
            thread = threading.Thread(target=self._treat, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _treat(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)

            with connection:
                self._manners(connection, self)
        except OSError:  # the client has had enough
            connection.close()


def read_request(connection: socket.socket) -> bytes:
    """Read one request whole and return its body; empty at the end."""
    stream = connection.makefile("rb")
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)

    return stream.read(length)


def hang(_: socket.socket, server: RudeServer) -> None:
    """Say nothing."""
    server.over.wait(30)


def reset(connection: socket.socket, _: RudeServer) -> None:
    """Reset the connection once the request is there."""
    read_request(connection)
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def answer(raw: bytes) -> Manners:
    """Answer each request with *raw* and close."""

    def manners(connection: socket.socket, _: RudeServer) -> None:
        read_request(connection)
        connection.sendall(raw)

    return manners


def drip(connection: socket.socket, server: RudeServer) -> None:
    """Answer at once, with a body that comes by single bytes for ever."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not server.over.wait(0.05):
        connection.sendall(b"\n")
