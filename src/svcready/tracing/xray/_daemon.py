"""The way to the X-Ray daemon, or the CloudWatch agent: a UDP socket."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock

    _Address = tuple[socket.AddressFamily, tuple[object, ...]]

__all__ = ["ARRIVED", "BUSY", "TOO_LARGE", "Daemon"]

ARRIVED = ""
BUSY = "busy"
"""The kernel has no room for a moment."""
TOO_LARGE = "too_large"
"""This system sends no datagram of that size."""
_REFUSED, _UNREACHABLE, _UNRESOLVED = "refused", "unreachable", "unresolved"

_NO_ROOM = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
_LOOKED_UP_AGAIN_S = 60.0
_SEND_BYTES = 256 * 1024


class Daemon:
    """
    Sends datagrams to one place, which is looked up when the first is sent.

    Names are looked up again after each failure, and once a minute: a container that
    was replaced has another address, and datagrams to the old one get no answer.

    Args:
        address: Host and port.
        clock: Says when a minute has passed.
        resolve: Looks a host up, as `socket.getaddrinfo` does.
    """

    def __init__(
        self,
        address: tuple[str, int],
        clock: Clock,
        resolve: Callable[..., list[tuple[object, ...]]] | None = None,
    ) -> None:
        self._address = address
        self._clock = clock
        self._resolve = resolve or socket.getaddrinfo
        self._socket: socket.socket | None = None
        self._known: list[_Address] = []
        self._at = 0
        self._is_name = False
        self._stale_at_s = 0.0
        self.detail = ""
        """What the system said about the last datagram that did not go out."""

    def send(self, datagram: bytes) -> str:
        """
        Send *datagram*; never waits for more than a look-up.

        Nobody confirms datagrams: that one has arrived means that nobody refused it.

        Returns:
            `ARRIVED`, `BUSY`, `TOO_LARGE`, or why it went nowhere in a word.
        """
        try:
            connected = self._connected()
        except OSError as error:  # of which socket.gaierror is one
            self.detail = str(error)
            self._give_up()
            unknown = isinstance(error, socket.gaierror)
            return _UNRESOLVED if unknown else _UNREACHABLE

        try:
            connected.send(datagram)
            # A refusal on this host is there at once; without asking, the next
            # datagram would get it in its place.
            failure = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as error:
            failure = error.errno or errno.EIO

        return self._judge(failure) if failure else ARRIVED

    def close(self) -> None:
        """Close the socket; the next datagram opens another."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    def _judge(self, failure: int) -> str:
        self.detail = os.strerror(failure)
        if failure == errno.EMSGSIZE:
            return TOO_LARGE

        if failure in _NO_ROOM:
            return BUSY

        self._give_up()
        return _REFUSED if failure == errno.ECONNREFUSED else _UNREACHABLE

    def _give_up(self) -> None:
        """Have the next datagram go to the host's next address."""
        self.close()
        self._at += 1
        if self._at >= len(self._known):
            self._known = []

    def _connected(self) -> socket.socket:
        if self._is_name and self._clock.monotonic() >= self._stale_at_s:
            self.close()
            self._known = []

        if self._socket is not None:
            return self._socket

        if not self._known:
            self._look_up()

        family, address = self._known[self._at]
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            # Where the default is less than a large document, as on macOS.
            if opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < _SEND_BYTES:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)

            opened.connect(address)
        except OSError:
            opened.close()
            raise

        self._socket = opened
        return opened

    def _look_up(self) -> None:
        host, port = self._address
        found = self._resolve(host, port, type=socket.SOCK_DGRAM)
        self._known = [(entry[0], entry[4]) for entry in found]  # type: ignore[misc]
        self._at = 0
        self._is_name = not any(entry[4][0] == host for entry in found)  # type: ignore[index]
        self._stale_at_s = self._clock.monotonic() + _LOOKED_UP_AGAIN_S
