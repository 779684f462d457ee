"""A connection to Redis that blocks its thread, but never for longer than is said."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from svcready._transport.redis._hello import check_greeted, greeting
from svcready._transport.redis._resp import RedisError, Replies, packed
from svcready._transport.redis._tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._transport.redis._resp import Command, Reply
    from svcready.config._redis_address import RedisAddress

__all__ = ["Link", "dial", "resolve"]

_READ_BYTES = 16 * 1024
_LATE_S = 0.001
_LATE_READS = 3


class Link:
    """
    One connection, used by one thread at a time; `dial` makes it.

    redis-py's time-outs bound each single read, so a server that drips takes as long
    as it likes; here the deadline is that of the whole exchange.

    Args:
        sock: It is connected.
        peer: To which address; empty for a socket's path.
    """

    __slots__ = ("_replies", "_sock", "peer")

    def __init__(self, sock: socket.socket, peer: str = "") -> None:
        self.peer = peer
        self._sock = sock
        self._replies = Replies()

    def ask(self, commands: Sequence[Command], ends_s: float) -> list[Reply]:
        """
        Send *commands* at once and return their replies.

        Args:
            commands: At least one.
            ends_s: Until when there is time, by `time.monotonic`.

        Raises:
            RedisError: They did not come; the connection is closed then, unless the
                reason is `busy`: the time was over before anything was sent.
        """
        if time.monotonic() >= ends_s:
            raise RedisError("busy", "no time was left to ask")

        answered = False
        try:
            replies = self._exchange(packed(commands), len(commands), ends_s)
            answered = True
        except TimeoutError as error:
            raise RedisError("timeout", "no answer in time") from error
        except OSError as error:
            text = error.strerror or type(error).__name__
            raise RedisError("connection", text) from error
        finally:
            if not answered:  # whatever was raised: half a reply may still come
                self.close()

        return replies

    def is_stale(self) -> bool:
        """Return whether it ended, or talks unasked, since it was used last."""
        try:
            poll = select.poll()
            poll.register(self._sock, select.POLLIN | select.POLLERR | select.POLLHUP)
            return self._replies.pending or bool(poll.poll(0))
        except (OSError, ValueError):
            return True

    def close(self) -> None:
        """Let go of the connection; doing so again does nothing."""
        try:
            self._sock.close()
        except OSError:
            pass

    def _exchange(self, sent: bytes, count: int, ends_s: float) -> list[Reply]:
        sock, replies = self._sock, self._replies
        sock.settimeout(_left_s(ends_s))
        sock.sendall(sent)  # its time-out is that of the whole
        taken: list[Reply] = []
        late = 0
        while len(taken) < count:
            reply = replies.take()
            if reply is not None:
                taken += reply
                continue

            left_s = ends_s - time.monotonic()
            if left_s < _LATE_S:
                # It may be this thread that was held up, by others that kept the GIL:
                # what has come by now is still read.
                left_s, late = _LATE_S, late + 1
                if late > _LATE_READS:
                    raise TimeoutError

            sock.settimeout(left_s)
            data = sock.recv(_READ_BYTES)
            if not data:
                raise RedisError("connection", "the server closed the connection")

            replies.feed(data)

        if replies.pending:
            raise RedisError("garbage", "more was answered than asked")

        return taken


def resolve(address: RedisAddress) -> list[str]:
    """
    Return the addresses of the host; of a socket's path that it has none.

    Slow where the resolver is: for threads that nobody waits for.

    Raises:
        RedisError: Nobody knows them.
    """
    if address.path:
        return []

    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = error.strerror or type(error).__name__
        raise RedisError("resolve", text) from error

    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def dial(address: RedisAddress, ends_s: float) -> Link:
    """
    Connect, encrypt, log in, and see that the server answers.

    Args:
        address: Where.
        ends_s: Until when there is time, by `time.monotonic`; a slow resolver can take
            longer.

    Raises:
        RedisError: It did not come about.
    """
    link: Link | None = None
    hosts = resolve(address) or [""]
    try:
        for last, host in enumerate(hosts, 1 - len(hosts)):
            try:
                sock = _connected(address, host, ends_s)
                break
            except OSError:
                if not last:
                    raise

        link = Link(_encrypted(sock, address, ends_s), host)
        check_greeted(link.ask(greeting(address), ends_s))
    except TimeoutError as error:
        raise RedisError("timeout", "no connection in time") from error
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or type(error).__name__
        raise RedisError("connection", text) from error
    except RedisError:
        if link is not None:
            link.close()

        raise

    return link


def _connected(address: RedisAddress, host: str, ends_s: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family if host else socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_left_s(ends_s))
        sock.connect((host, address.port) if host else address.path)
        if host:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise

    return sock


def _encrypted(
    sock: socket.socket, address: RedisAddress, ends_s: float
) -> socket.socket:
    try:
        context = tls_context(address)
        if context is None:
            return sock

        sock.settimeout(_left_s(ends_s))
        return context.wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise


def _left_s(ends_s: float) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0.0:
        raise TimeoutError

    return left_s
