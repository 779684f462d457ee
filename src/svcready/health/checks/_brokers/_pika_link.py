"""A connection to RabbitMQ whose event loop runs only while a check does."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from svcready.health._result import CheckResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from pika import BaseConnection
    from pika.adapters.select_connection import IOLoop
    from pika.adapters.utils.connection_workflow import AbstractAMQPConnectionWorkflow
    from pika.channel import Channel
    from pika.connection import Parameters

__all__ = ["Blocked", "Link"]

_CLOSE_S = 0.5
_STACK_SHARE = 0.9  # pika gives a connection up by itself, before the check does
_ROUTE = "svcready.health.check"  # no queue has the name


class Blocked:
    """Whether RabbitMQ blocks a connection, as it tells the connection itself."""

    def __init__(self) -> None:
        self.reason = ""

    def follow(
        self, connection: object, then: Callable[[], None] = lambda: None
    ) -> None:
        """Take note of what *connection* is told from now on, and call *then*."""

        def block(_connection: object, frame: object) -> None:
            reason = getattr(getattr(frame, "method", None), "reason", None)
            self.reason = str(reason or "no reason given")
            then()

        def unblock(_connection: object, _frame: object) -> None:
            self.reason = ""
            then()

        connection.add_on_connection_blocked_callback(block)  # type: ignore[attr-defined]
        connection.add_on_connection_unblocked_callback(unblock)  # type: ignore[attr-defined]


class Link:
    """
    One connection and one channel.

    pika's blocking connection waits for answers without end, so this drives an
    asynchronous one, for as long as the check may take and not in between.

    Args:
        parameters: The application's.
        limit_s: The longest that a step of connecting may take, in seconds.
    """

    def __init__(self, parameters: Parameters, limit_s: float) -> None:
        own = copy(parameters)
        own.heartbeat = 0  # nobody would answer between two runs
        own.blocked_connection_timeout = None
        own.connection_attempts = 1
        own.socket_timeout = own.stack_timeout = limit_s * _STACK_SHARE
        own.client_properties = {
            **(parameters.client_properties or {}),
            "connection_name": "svcready health check",
        }
        self._parameters = own
        self._watched: set[int] = set()
        self._loop = _make_loop(self._watched)
        self._attempt: AbstractAMQPConnectionWorkflow | None = None
        self._told: list[object] = []  # what came of it
        self._connection: BaseConnection | None = None
        self._channel: Channel | None = None
        self._error: BaseException | None = None
        self._blocked = Blocked()

    def refresh(self) -> bool:
        """Take in what came since the last run; False if the connection is gone."""
        self._turn(0.0)
        return self._error is None

    def ask(self, ends_s: float, *, publishes: bool) -> CheckResult:
        """
        Make a round trip to RabbitMQ, connecting first if need be.

        Args:
            ends_s: When to give up, on the monotonic clock.
            publishes: Whether to publish a message that no queue takes.

        Raises:
            Exception: There was no answer, or none in time.
        """
        if not self._blocked.reason:  # else nothing that is sent is read
            self._connect(ends_s)
            answers: list[object] = []
            channel = self._channel
            assert channel is not None
            if publishes:
                channel.basic_publish("", _ROUTE, b"")

            channel.basic_qos(callback=self._then_stop(answers))
            self._drive(
                lambda: bool(answers or self._blocked.reason or self._error), ends_s
            )
            if not answers and not self._blocked.reason:
                raise self._error or TimeoutError("no answer in time")

        if self._blocked.reason:
            reason = f"RabbitMQ blocks publishers: {self._blocked.reason}"
            return CheckResult("warn", reason)

        return CheckResult("pass")

    def end(self, *, politely: bool = False) -> None:
        """
        Close all there is.

        Args:
            politely: Whether to say good-bye, for which a peer that hangs is waited
                for a moment.
        """
        if politely and self._connection is not None and self.refresh():
            connection = self._connection
            with suppress(Exception):
                connection.close()

            self._drive(lambda: connection.is_closed, time.monotonic() + _CLOSE_S)

        attempt = None if self._told else self._attempt
        if attempt is not None:  # it may resolve a name, or have a socket unwatched yet
            with suppress(Exception):  # within the handshake the cut ends it
                attempt.abort()

        self._cut()
        self._drive(
            lambda: not self._watched and (attempt is None or bool(self._told)),
            time.monotonic() + _CLOSE_S,
        )
        self._loop.close()

    def _connect(self, ends_s: float) -> None:
        if self._channel is not None:
            return

        from pika import SelectConnection

        self._attempt = SelectConnection.create_connection(
            [self._parameters], self._then_stop(self._told), self._loop
        )
        self._drive(lambda: bool(self._told), ends_s)
        if not self._told:
            raise TimeoutError("no connection in time")

        connection = self._told[0]
        if isinstance(connection, BaseException):
            raise _innermost(connection)

        self._connection = connection
        connection.add_on_close_callback(self._lose)  # type: ignore[attr-defined]
        self._blocked.follow(connection, self._loop.stop)
        opened: list[object] = []
        channel = connection.channel(on_open_callback=self._then_stop(opened))  # type: ignore[attr-defined]
        channel.add_on_close_callback(self._lose)
        self._drive(lambda: bool(opened or self._error), ends_s)
        if not opened:
            raise self._error or TimeoutError("no channel in time")

        self._channel = channel

    def _lose(self, _closed: object, error: BaseException) -> None:
        self._error = self._error or error
        self._loop.stop()

    def _then_stop(self, told: list[object]) -> Callable[[object], None]:
        def take(what: object) -> None:
            told.append(what)
            self._loop.stop()

        return take

    def _drive(self, is_done: Callable[[], bool], ends_s: float) -> None:
        """Let the loop run until *is_done*, or *ends_s*."""
        while not is_done() and (left_s := ends_s - time.monotonic()) > 0:
            self._turn(left_s)

    def _turn(self, seconds: float) -> None:
        """Let the loop run until something stops it, at most for *seconds*."""
        timer = self._loop.call_later(seconds, self._loop.stop)
        self._loop.start()
        self._loop.remove_timeout(timer)

    def _cut(self) -> None:
        # pika has no call that ends a connection without the peer's consent; its loop
        # sees the end of the stream, and closes everything as if the peer had gone.
        for number in self._watched:
            with suppress(OSError), socket.socket(fileno=os.dup(number)) as stream:
                stream.shutdown(socket.SHUT_RDWR)


def _make_loop(watched: set[int]) -> IOLoop:
    """Make a loop that notes the numbers of the files that it watches."""
    from pika.adapters.select_connection import IOLoop as Loop

    class Noting(Loop):  # type: ignore[misc]
        def add_handler(
            self, fd: int, handler: Callable[[int, int], None], events: int
        ) -> None:
            watched.add(fd)
            super().add_handler(fd, handler, events)

        def remove_handler(self, fd: int) -> None:
            watched.discard(fd)
            super().remove_handler(fd)
            if not watched:
                self.stop()

    return Noting()


def _innermost(error: BaseException) -> BaseException:
    """Return what really happened, from within what pika wraps around it."""
    while True:
        several = getattr(error, "exceptions", None)
        inner = several[-1] if several else getattr(error, "exception", None)
        if not isinstance(inner, BaseException):
            return error

        error = inner
