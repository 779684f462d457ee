"""Metrics of messages through pika, by its blocking and its other connections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready.metrics.clients._rabbitmq import Broker, argument
from svcready.metrics.clients._shared import Installed, Patches, error_type, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["instrument_pika"]

_installed: Installed[type] = Installed()


def instrument_pika() -> Callable[[], None]:
    """
    Measure the messages of all channels of pika.

    What is published and, on blocking channels, how long that took and whether the
    broker refused it (with `confirm_delivery`); what is delivered, how long callbacks
    take for it, and how it is settled. Consumers that were there before count what is
    settled only.

    Returns:
        What takes the instrumentation back.
    """
    from pika.channel import Channel

    return _installed.once(Channel, _install)


def _install(channel: type) -> Callable[[type], None]:
    from pika.adapters.blocking_connection import BlockingChannel

    patches = Patches()
    watch = _Watch(patches, BlockingChannel)
    patches.wrap_class(BlockingChannel, "basic_publish", watch.publish_and_wait)
    patches.wrap_class(BlockingChannel, "basic_get", watch.get)
    patches.wrap_class(BlockingChannel, "basic_consume", watch.consume_blocking)
    # A blocking channel hands all it does to one of these.
    patches.wrap_class(channel, "basic_publish", watch.publish)
    patches.wrap_class(channel, "basic_consume", watch.consume)
    for method in ("ack", "nack", "reject"):
        patches.wrap_class(channel, f"basic_{method}", watch.settle(method))

    def remove(_: type) -> None:
        patches.undo()

    return remove


class _Watch:
    """What stands around the methods of channels."""

    def __init__(self, patches: Patches, blocking: type) -> None:
        self._patches = patches
        self._blocking = blocking
        self._broker = Broker()
        self._inside = threading.local()

    def publish_and_wait(
        self,
        inner: Callable[..., object],
        _: object,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Publish on a blocking channel, which may wait for a confirmation."""
        where = (
            argument(args, kwargs, 0, "exchange"),
            argument(args, kwargs, 1, "routing_key"),
        )
        started_s = self._broker.watch.now()
        self._inside.publish = True
        try:
            result = inner(*args, **kwargs)
        except Exception as error:
            seconds = self._broker.watch.now() - started_s
            self._broker.published(*where, seconds, error_type(error))
            raise
        finally:
            self._inside.publish = False

        self._broker.published(*where, self._broker.watch.now() - started_s, "")
        return result

    def publish(
        self,
        inner: Callable[..., object],
        _: object,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Publish on a channel that waits for nothing."""
        result = inner(*args, **kwargs)
        if not getattr(self._inside, "publish", False):
            exchange = argument(args, kwargs, 0, "exchange")
            routing_key = argument(args, kwargs, 1, "routing_key")
            self._broker.published(exchange, routing_key, None, "")

        return result

    def get(
        self,
        inner: Callable[..., tuple[object, ...]],
        _: object,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Ask a queue for one message."""
        started_s = self._broker.watch.now()
        result = inner(*args, **kwargs)
        seconds = self._broker.watch.now() - started_s
        queue = argument(args, kwargs, 0, "queue")
        self._broker.got(queue, seconds, 0 if result[0] is None else 1)
        return result

    def consume_blocking(
        self,
        inner: Callable[..., object],
        _: object,
        queue: object,
        on_message_callback: Callable[..., object],
        *args: object,
        **kwargs: object,
    ) -> object:
        """Have a blocking channel's messages processed by a callback."""
        with quiet:
            on_message_callback = self._timed(queue, on_message_callback)

        return inner(queue, on_message_callback, *args, **kwargs)

    def consume(
        self,
        inner: Callable[..., object],
        _: object,
        queue: object,
        on_message_callback: Callable[..., object],
        *args: object,
        **kwargs: object,
    ) -> object:
        """Have messages delivered to a callback."""
        callback = on_message_callback
        # A blocking channel's own takes the message into a queue: no processing.
        if not isinstance(getattr(callback, "__self__", None), self._blocking):
            callback = self._timed(queue, callback)

        def deliver(*of_message: object) -> object:
            if self._patches.active:
                self._broker.delivered(queue)

            return callback(*of_message)

        return inner(queue, deliver, *args, **kwargs)

    def settle(self, operation: str) -> Callable[..., object]:
        """Return what stands around the settling of messages."""

        def settle(
            inner: Callable[..., object], _: object, *args: object, **kwargs: object
        ) -> object:
            result = inner(*args, **kwargs)
            self._broker.settled(operation)
            return result

        return settle

    def _timed(
        self, queue: object, callback: Callable[..., object]
    ) -> Callable[..., object]:
        measured = self._broker.timed(queue, callback)

        def process(*of_message: object) -> object:
            return (measured if self._patches.active else callback)(*of_message)

        return process
