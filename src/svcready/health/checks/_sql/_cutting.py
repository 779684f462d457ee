"""Ends a blocking call on a connection in time, by shutting the socket beneath it."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Cutter"]

_PLACES = ("_sock", "_usock")  # where PyMySQL and pg8000 keep theirs


class Cutter:
    """
    Shuts a connection's socket when its time is up; whoever waits on it goes on.

    Drivers wait without end for the answer of a server that hangs: libpq knows a
    time-out for connecting only, and a statement time-out is the server's to keep. On
    a socket that is shut every driver gets an end of file at once, which it takes for
    what it is: a connection that is lost. A driver that shows no socket is not cut.

    Args:
        connection: A driver's connection.
        seconds: After how long.
        schedule: Calls a function after so many seconds and returns what prevents it;
            a thread's timer if None.
    """

    __slots__ = (
        *("_connection", "_cut", "_lock", "_over", "_prevent", "_schedule"),
        *("_seconds", "fired"),
    )

    def __init__(
        self,
        connection: object,
        seconds: float,
        schedule: Callable[[float, Callable[[], None]], Callable[[], None]]
        | None = None,
    ) -> None:
        self._connection = connection
        self._seconds = max(0.0, seconds)
        self._schedule = schedule or _by_timer
        self._lock = threading.Lock()  # of one call, which no fork outlives
        self._over = False
        self.fired = False
        """Whether the connection was cut, so that it is not to be used again."""

    def __enter__(self) -> Cutter:
        self._cut, self._prevent = _cut_of(self._connection), None
        if self._cut is not None:
            self._prevent = self._schedule(self._seconds, self._fire)

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:  # after this nothing is cut any more
            self._over = True

        if self._prevent is not None:
            self._prevent()

        if self._cut is not None:
            self._cut(False)

    def _fire(self) -> None:
        with self._lock:
            if not self._over and self._cut is not None:
                self.fired = True
                self._cut(True)


def _by_timer(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    timer = threading.Timer(seconds, call)
    timer.name = "svcready-check-cut"
    timer.daemon = True
    timer.start()
    return timer.cancel


def _cut_of(connection: object) -> Callable[[bool], None] | None:
    """Return what cuts *connection*, if told True, or is done with it."""
    own = _duplicate(connection)
    if own is not None:
        return lambda now: _end(own, now=now)

    interrupt = getattr(connection, "interrupt", None)  # SQLite's
    if callable(interrupt):
        return lambda now: interrupt() if now else None

    return None


def _end(own: socket.socket, *, now: bool) -> None:
    if now:
        with suppress(OSError):
            own.shutdown(socket.SHUT_RDWR)
    else:
        own.close()


def _duplicate(connection: object) -> socket.socket | None:
    # A duplicate, because the number may be another socket's once the driver closed
    # its own.
    for holder in (connection, *(getattr(connection, at, None) for at in _PLACES)):
        fileno = getattr(holder, "fileno", None)
        if callable(fileno):
            with suppress(Exception):
                return socket.socket(fileno=os.dup(fileno()))

    return None
