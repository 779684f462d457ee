"""Connections to Redis for the threads of a process, made by a thread of their own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready._core.threads import start_daemon
from svcready._transport.redis._link import dial
from svcready._transport.redis._resp import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._transport.redis._link import Link
    from svcready._transport.redis._whereabouts import Whereabouts
    from svcready.config._redis_address import RedisAddress

__all__ = ["Pool", "Watched"]

_DIAL_S = 1.0


class Watched(Protocol):
    """What decides when a server that was lost is tried again."""

    is_up: bool

    def wait_s(self) -> float:
        """Return for how many more seconds it is left alone."""
        ...

    def failed(self, reason: str, code: str = "") -> None:
        """Take note that it did not answer."""
        ...

    def answered(self) -> None:
        """Take note that it answered."""
        ...


class Pool:
    """
    Idle connections, the one used last first.

    Whoever takes one never connects: names are looked up, sockets connected and
    encrypted by a thread of the pool's, however long that takes, while those who wait
    do so for no longer than they said. That thread also finds out when a server that
    was lost is back: it has to answer as fast as those who ask need it to.

    Args:
        where: Where to connect.
        watched: Told of failures to connect, and of the server's return.
        timeout_s: How fast the server has to answer to be back.
        most: How many connections there are at once.
        dialled: Connects until a time; raises RedisError.
    """

    def __init__(
        self,
        where: Whereabouts,
        watched: Watched,
        *,
        timeout_s: float,
        most: int = 16,
        dialled: Callable[..., Link] = dial,
    ) -> None:
        self._where = where
        self._watched = watched
        self._timeout_s = timeout_s
        self._most = most
        self._dialled = dialled
        self.hosts: tuple[str, ...] = ()
        """The server's address as it was connected to last; none of a socket's path."""
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._asked = threading.Condition(self._lock)
        self._listeners: list[Callable[[], None]] = []
        self._idle: list[Link] = []
        self._used = 0
        self._waiting = 0
        self._wanted = 0
        self._edition = 0
        self._failures = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        fork.reset_in_child(self._reset_in_child)

    def take(self, ends_s: float) -> tuple[int, Link]:
        """
        Return a connection that nobody else uses, to be given back or dropped.

        Args:
            ends_s: Until when there is time, by `time.monotonic`.

        Raises:
            RedisError: There is none; its reason is `busy` if others are in use, which
                says nothing of the server.
        """
        while True:
            found = self._wait(ends_s)
            if not found[1].is_stale():
                return found

            self.drop(found)

    def give(self, taken: tuple[int, Link]) -> None:
        """Give back a connection that is as good as before."""
        edition, link = taken
        with self._lock:
            if edition == self._edition and not self._closed:
                self._used -= 1
                self._idle.append(link)
                self._came.notify()
                return

        link.close()

    def drop(self, taken: tuple[int, Link]) -> None:
        """Let go of a connection that is of no more use."""
        edition, link = taken
        link.close()
        with self._lock:
            if edition == self._edition:
                self._used -= 1
                self._came.notify()

    def empty(self) -> None:
        """Let go of every connection: the server is another one, or is lost."""
        with self._lock:
            idle = self._forget()

        for link in idle:
            link.close()

    def seek(self, made: Callable[[], None] | None = None) -> None:
        """
        Have a connection made, if there is none; cheap if one is being made.

        Args:
            made: Called once, by another thread, when one was made or could not be.
        """
        if self._wanted and self._thread is not None and made is None:
            return

        with self._lock:
            if made is not None:
                self._listeners.append(made)

            if not self._wanted and (made is not None or not self._idle):
                self._want()

    def close(self) -> None:
        """Let go of everything; whoever waits is refused."""
        with self._lock:
            self._closed = True
            idle = self._forget()
            self._came.notify_all()
            self._asked.notify_all()

        for link in idle:
            link.close()

    def _wait(self, ends_s: float) -> tuple[int, Link]:
        """Take the connection used last, or wait for the next; stale ones included."""
        with self._lock:
            self._waiting += 1
            try:
                self._wait_for_idle(ends_s)
            finally:
                self._waiting -= 1

            self._used += 1
            return self._edition, self._idle.pop()

    def _wait_for_idle(self, ends_s: float) -> None:
        failures = self._failures
        while not self._idle:
            made = self._used + self._wanted
            if self._wanted < self._waiting and made < self._most:
                self._want()

            left_s = ends_s - time.monotonic()
            in_time = not self._closed and left_s > 0.0 and self._came.wait(left_s)
            if not in_time and (self._closed or not self._idle):
                # While others use theirs it is us who are slow, and not the server.
                reason = "busy" if self._used else "timeout"
                raise RedisError(reason, "no connection in time")

            if failures != self._failures and not self._idle:
                raise RedisError("connection", "no connection can be made")

    def _want(self) -> None:
        self._wanted += 1
        self._asked.notify()
        if self._thread is None and not self._closed:
            self._thread = start_daemon(self._run, "svcready.redis", "redis")

    def _forget(self) -> list[Link]:
        idle, self._idle = self._idle, []
        self._edition += 1
        self._used = 0
        return idle

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._closed and not self._wanted:
                    self._asked.wait()

                edition = self._edition
                if not self._closed and (wait_s := self._watched.wait_s()):
                    self._asked.wait(wait_s)
                    continue

                if self._closed:
                    return

            self._make(edition)

    def _make(self, edition: int) -> None:
        """Make one connection; whoever waits takes it, or hears that there is none."""
        address = self._where.address
        try:
            link = self._connected(address)
        except RedisError as error:
            self._where.learn(error, address)
            self._watched.failed(error.reason, error.code)
            with self._lock:
                self._failures += 1
                self._wanted = 1  # it is looked for until it is found
                self._came.notify_all()

            self._tell()
            return

        self.hosts = (link.peer,) if link.peer else ()
        with self._lock:
            self._wanted = max(0, self._wanted - 1)
            is_current = edition == self._edition and not self._closed
            if is_current:
                self._idle.append(link)
                self._came.notify()

        if not is_current:
            link.close()

        self._watched.answered()
        self._tell()

    def _connected(self, address: RedisAddress) -> Link:
        try:
            link = self._dialled(address, time.monotonic() + _DIAL_S)
            if not self._watched.is_up:
                link.ask([("PING",)], time.monotonic() + self._timeout_s)
        except RedisError:
            raise
        except Exception as error:  # the thread goes on whatever it was
            report_fault("redis", error)
            raise RedisError("fault") from error

        return link

    def _tell(self) -> None:
        with self._lock:
            listeners, self._listeners = self._listeners, []

        for listener in listeners:
            listener()

    def _reset_in_child(self) -> None:
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._asked = threading.Condition(self._lock)
        self._listeners = []
        self._thread = None
        self._wanted = self._waiting = 0
        for link in self._forget():  # the parent's go on
            link.close()
