"""Connections of checks to their peers, and what went wrong with one in plain words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import socket
    from ssl import SSLContext, SSLSocket

    from _typeshed import WriteableBuffer

    from svcready.health.checks._deadline import Deadline

__all__ = ["Stream", "connect", "in_words", "secure"]


def connect(host: str, port: int, deadline: Deadline) -> socket:
    """
    Connect to the first address of *host* that answers.

    The name's resolution alone cannot be bounded: the system's resolver has a time-out
    of its own and no way to give up.

    Raises:
        OSError: None answers in time, or there is none.
    """
    import socket

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        msg = "its name is none that can be resolved"
        raise OSError(msg) from None

    failed = OSError("it has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = socket.socket(family, kind, protocol)
        try:
            # One that swallows what it gets must leave time for the others.
            sock.settimeout(deadline.left_s() / (len(found) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock

    raise failed


def secure(
    sock: socket, context: SSLContext, name: str, deadline: Deadline
) -> SSLSocket:
    """
    Speak TLS on *sock*, which is used up.

    Raises:
        OSError: The handshake failed, or was not done in time.
    """
    sock.settimeout(deadline.left_s())  # the whole handshake's, not each read's
    return context.wrap_socket(sock, server_hostname=name)


class Stream:
    """
    A connected socket as `http.client` takes it, all of it within one deadline.

    Args:
        sock: Is closed by whoever made it.
        deadline: The end of every read and write.
    """

    def __init__(self, sock: socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Send *data*."""
        self._sock.settimeout(self._deadline.left_s())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what reads from it."""
        return io.BufferedReader(_Reads(self._sock, self._deadline))

    def close(self) -> None:
        """Do nothing: the answer may not have been read yet."""


class _Reads(io.RawIOBase):
    def __init__(self, sock: socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._sock.settimeout(self._deadline.left_s())
        return self._sock.recv_into(buffer)


def in_words(error: OSError, allowed_s: float) -> str:
    """
    Say what happened to a connection, for people.

    Args:
        error: What was raised.
        allowed_s: The run's time-out.
    """
    import socket
    import ssl

    if isinstance(error, TimeoutError):
        return f"no answer within {allowed_s:g} s"

    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})"

    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"

    if isinstance(error, ConnectionError):
        return "it broke the connection off"

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"

    if isinstance(error, ssl.SSLError):
        said = (error.reason or "the handshake failed").replace("_", " ").lower()
        return f"TLS failed ({said})"

    return error.strerror or str(error) or type(error).__name__
