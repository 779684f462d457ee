"""Metrics of messages through aio-pika."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from svcready.metrics.clients._rabbitmq import Broker, argument
from svcready.metrics.clients._shared import Installed, Patches, error_type, quiet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika import Exchange
    from aio_pika.abc import AbstractExchange, AbstractQueue

__all__ = ["instrument_aio_pika"]

_installed: Installed[type[Exchange]] = Installed()


def instrument_aio_pika() -> Callable[[], None]:
    """
    Measure the messages of all exchanges and queues of aio-pika.

    What is published, how long that took with the broker's confirmation, and what it
    refused; what is delivered, how long callbacks take for it, and how it is settled.
    Messages that are iterated over are processed where they come out: say so by
    `svcready.metrics.processing`.

    Returns:
        What takes the instrumentation back.
    """
    from aio_pika import Exchange

    return _installed.once(Exchange, _install)


def _install(exchange: type[Exchange]) -> Callable[[type[Exchange]], None]:
    from aio_pika import IncomingMessage, Queue
    from aio_pika.queue import QueueIterator

    patches = Patches()
    watch = _Watch(patches, QueueIterator)
    patches.wrap_class(exchange, "publish", watch.publish)
    patches.wrap_class(Queue, "consume", watch.consume)
    patches.wrap_class(Queue, "get", watch.get)
    for method in ("ack", "nack", "reject"):
        patches.wrap_class(IncomingMessage, method, watch.settle(method))

    def remove(_: type[Exchange]) -> None:
        patches.undo()

    return remove


class _Watch:
    """What stands around the methods of exchanges, queues and messages."""

    def __init__(self, patches: Patches, iterator: type) -> None:
        self._patches = patches
        self._iterator = iterator
        self._broker = Broker()

    async def publish(
        self,
        inner: Callable[..., Awaitable[object]],
        exchange: AbstractExchange,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Publish a message."""
        where = (exchange.name, argument(args, kwargs, 1, "routing_key"))
        started_s = self._broker.watch.now()
        try:
            result = await inner(*args, **kwargs)
        except BaseException as error:
            seconds = self._broker.watch.now() - started_s
            self._broker.published(*where, seconds, error_type(error))
            raise

        # An unroutable message comes back itself, if that is not to raise.
        error_kind = "unroutable" if hasattr(result, "body") else ""
        seconds = self._broker.watch.now() - started_s
        self._broker.published(*where, seconds, error_kind)
        return result

    async def get(
        self,
        inner: Callable[..., Awaitable[object]],
        queue: AbstractQueue,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Ask a queue for one message."""
        started_s = self._broker.watch.now()
        result = await inner(*args, **kwargs)
        seconds = self._broker.watch.now() - started_s
        self._broker.got(queue.name, seconds, 0 if result is None else 1)
        return result

    async def consume(
        self,
        inner: Callable[..., Awaitable[object]],
        queue: AbstractQueue,
        callback: Callable[..., object],
        *args: object,
        **kwargs: object,
    ) -> object:
        """Have a queue's messages delivered to a callback."""
        with quiet:
            callback = self._delivering(queue.name, callback)

        return await inner(callback, *args, **kwargs)

    def settle(self, operation: str) -> Callable[..., Awaitable[object]]:
        """Return what stands around the settling of messages."""

        async def settle(
            inner: Callable[..., Awaitable[object]],
            _: object,
            *args: object,
            **kwargs: object,
        ) -> object:
            result = await inner(*args, **kwargs)
            self._broker.settled(operation)
            return result

        return settle

    def _delivering(
        self, queue: str, callback: Callable[..., object]
    ) -> Callable[..., Awaitable[object]]:
        iterated = isinstance(getattr(callback, "__self__", None), self._iterator)

        async def deliver(message: object) -> object:
            measured = self._patches.active
            if measured:
                self._broker.delivered(queue)

            started_s = self._broker.watch.now()
            try:
                result = callback(message)
                if inspect.isawaitable(result):
                    result = await result
            except BaseException as error:
                if measured and not iterated:
                    self._broker.processed(queue, started_s, error)

                raise

            if measured and not iterated:
                self._broker.processed(queue, started_s, None)

            return result

        return deliver
