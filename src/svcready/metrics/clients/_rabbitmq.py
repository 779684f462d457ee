"""What the clients of RabbitMQ, pika and aio-pika, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.clients._messaging import Messaging
from svcready.metrics.clients._shared import error_type, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Broker", "argument"]

_TEMPORARY = ("amq.", "amq_")
_TEMPORARY_NAME = "(temporary)"


def argument(
    args: Sequence[object], kwargs: Mapping[str, object], place: int, name: str
) -> object:
    """Return the argument that stands at *place* or is called *name*; or None."""
    return args[place] if len(args) > place else kwargs.get(name)


class Broker:
    """Records what a client says to RabbitMQ and hears of it."""

    def __init__(self) -> None:
        self._messaging = Messaging("rabbitmq")
        self.watch = self._messaging.watch
        """Tells the time in seconds."""

    def published(
        self, exchange: object, routing_key: object, seconds: float | None, error: str
    ) -> None:
        """
        Record a message that was published.

        Args:
            exchange: Its name; the default one's is empty.
            routing_key: With the default exchange, the queue.
            seconds: How long it took, the broker's confirmation included if the
                channel waits for that; None if nobody waits for anything.
            error: Why it was not published; empty if it was.
        """
        with quiet:
            destination = str(exchange) if exchange else _queue(routing_key)
            self._messaging.sent(destination, "publish", 1, error)
            if seconds is not None:
                self._messaging.took(destination, "publish", seconds, error)

    def delivered(self, queue: object) -> None:
        """Count a message that the broker delivered."""
        with quiet:
            self._messaging.consumed(_queue(queue), "deliver")

    def got(self, queue: object, seconds: float, messages: int) -> None:
        """Record that a queue was asked for one message."""
        with quiet:
            self._messaging.took(_queue(queue), "get", seconds)
            self._messaging.consumed(_queue(queue), "get", messages)

    def settled(self, operation: str, queue: object = "") -> None:
        """Count an `ack`, `nack` or `reject`."""
        with quiet:
            self._messaging.settled(_queue(queue), operation)

    def processed(
        self, queue: object, started_s: float, error: BaseException | None
    ) -> None:
        """Record how long the application took for a message."""
        with quiet:
            kind = "" if error is None else error_type(error)
            seconds = self.watch.now() - started_s
            self._messaging.processed(_queue(queue), seconds, kind)

    def timed(
        self, queue: object, callback: Callable[..., object]
    ) -> Callable[..., object]:
        """Return *callback*, measured; it processes the messages of *queue*."""

        def process(*args: object, **kwargs: object) -> object:
            started_s = self.watch.now()
            try:
                result = callback(*args, **kwargs)
            except BaseException as error:
                self.processed(queue, started_s, error)
                raise

            self.processed(queue, started_s, None)
            return result

        return process


def _queue(name: object) -> str:
    """Return a queue's name; those that the broker makes up are all one."""
    text = str(name or "")
    return _TEMPORARY_NAME if text.startswith(_TEMPORARY) else text
