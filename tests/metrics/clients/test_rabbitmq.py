"""Metrics of pika and aio-pika, against RabbitMQ."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from svcready.metrics import instrument_aio_pika, instrument_pika
from tests.metrics.clients.support import Page
from tests.servers.rabbitmq import rabbitmq

pika = pytest.importorskip("pika")
aio_pika = pytest.importorskip("aio_pika")

from pika.adapters.select_connection import SelectConnection  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aio_pika.abc import AbstractIncomingMessage

    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock

SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
SETTLED = "messaging.client.settled.messages"
DURATION = "messaging.client.operation.duration"
PROCESS = "messaging.process.duration"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run RabbitMQ."""
    with rabbitmq() as url:
        yield url


@pytest.fixture
def queue() -> str:
    """Name a queue that no other test has."""
    return f"orders-{uuid4().hex[:8]}"


@pytest.fixture
def channel(url: str, queue: str) -> Iterator[object]:
    """Open a blocking channel with a queue."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.queue_declare(queue)
    yield channel
    connection.close()


@pytest.fixture
def undo() -> Iterator[Callable[[], None]]:
    """Measure pika until the test's end."""
    undo = instrument_pika()
    yield undo
    undo()


def test_what_is_published_is_counted(
    channel: object, queue: str, page: Page, undo: object
) -> None:
    """By queue, or by exchange where there is one; a call of the broker each."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)
    channel.basic_publish("", queue, b"hunter2")
    channel.basic_publish(exchange="amq.topic", routing_key="a.b", body=b"x")

    here = {"messaging_system": "rabbitmq", "error_type": ""}
    assert page.value(SENT, messaging_destination_name=queue, **here) == 1
    assert page.value(SENT, messaging_destination_name="amq.topic", **here) == 1
    assert page.count(DURATION, messaging_operation_name="publish") == 2
    assert "hunter2" not in page.text()
    assert "a.b" not in page.text()


def test_what_the_broker_refuses_is_a_failure(
    channel: object, page: Page, undo: object
) -> None:
    """With confirmations, a message that goes nowhere is not sent."""
    channel.confirm_delivery()  # type: ignore[attr-defined]
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "missing", b"x", mandatory=True)  # type: ignore[attr-defined]

    assert page.value(SENT, error_type="UnroutableError") == 1
    assert page.value(SENT, error_type="") == 0
    assert page.count(DURATION, error_type="UnroutableError") == 1


def test_callbacks_are_timed_and_messages_settled(
    channel: object, queue: str, page: Page, clock: FakeClock, undo: object
) -> None:
    """A delivery, the callback's time, and how each message was done with."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)
    answers = iter(("ack", "nack", "reject"))

    def handle(channel: object, method: object, *_: object) -> None:
        clock.advance(2)
        answer = next(answers)
        options = {} if answer == "ack" else {"requeue": False}
        tag = method.delivery_tag  # type: ignore[attr-defined]
        getattr(channel, f"basic_{answer}")(tag, **options)
        if answer == "reject":
            channel.stop_consuming()  # type: ignore[attr-defined]

    for _ in range(3):
        channel.basic_publish("", queue, b"x")

    channel.basic_consume(queue=queue, on_message_callback=handle)
    channel.start_consuming()

    assert page.value(CONSUMED, messaging_destination_name=queue) == 3
    assert page.count(PROCESS, messaging_destination_name=queue) == 3
    assert page.total(PROCESS) == pytest.approx(6)
    for operation in ("ack", "nack", "reject"):
        assert page.value(SETTLED, messaging_operation_name=operation) == 1


def test_a_failing_callback_has_its_error(
    channel: object, queue: str, page: Page, undo: object
) -> None:
    """The error reaches whoever consumes, and counts by its class."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)

    def handle(*_: object) -> None:
        raise LookupError

    channel.basic_publish("", queue, b"x")
    channel.basic_consume(queue, handle, auto_ack=True)
    with pytest.raises(LookupError):
        channel.start_consuming()

    assert page.count(PROCESS, error_type="LookupError") == 1


def test_messages_that_are_asked_for_are_counted(
    channel: object, queue: str, page: Page, undo: object
) -> None:
    """One by one or by a loop; a loop's processing is not pika's to know."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)
    for _ in range(2):
        channel.basic_publish("", queue, b"x")

    assert channel.basic_get(queue, auto_ack=True)[2] == b"x"
    for _method, _properties, _body in channel.consume(queue, auto_ack=True):
        break

    channel.cancel()
    assert channel.basic_get(queue)[0] is None
    assert page.value(CONSUMED, messaging_operation_name="get") == 1
    assert page.value(CONSUMED, messaging_operation_name="deliver") == 1
    assert page.count(DURATION, messaging_operation_name="get") == 2
    assert page.count(PROCESS) == 0


def test_other_connections_are_measured_too(
    url: str, channel: object, queue: str, page: Page, undo: object
) -> None:
    """A channel that waits for nothing counts what it publishes and gets."""
    seen = []

    def opened(connection: SelectConnection) -> None:
        connection.channel(on_open_callback=ready)

    def ready(channel: object) -> None:
        channel.basic_consume(queue, handle, auto_ack=True)  # type: ignore[attr-defined]
        channel.basic_publish("", queue, b"x")  # type: ignore[attr-defined]

    def handle(_channel: object, _method: object, _: object, body: bytes) -> None:
        seen.append(body)
        connection.close()

    connection = SelectConnection(
        pika.URLParameters(url),
        on_open_callback=opened,
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    connection.ioloop.close()  # its own sockets, by which it is woken

    assert seen == [b"x"]
    assert page.value(SENT, messaging_destination_name=queue) == 1
    assert page.value(CONSUMED, messaging_destination_name=queue) == 1
    assert page.count(PROCESS, messaging_destination_name=queue) == 1


def test_queues_that_the_broker_names_are_one(
    channel: object, page: Page, undo: object
) -> None:
    """Their names are without end, so they share one."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)
    for _ in range(3):
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", name, b"x")

    assert page.value(SENT, messaging_destination_name="(temporary)") == 3


def test_pika_is_taken_back(
    channel: object, queue: str, make_pillar: Callable[..., MetricsPillar]
) -> None:
    """By name and by the call it counts once, and after the end nothing."""
    assert isinstance(channel, pika.adapters.blocking_connection.BlockingChannel)
    original = vars(pika.channel.Channel)["basic_publish"]
    pillar = make_pillar(instrument=("pika", "aio_pika"))
    page = Page(pillar)
    instrument_pika()
    channel.basic_publish("", queue, b"x")
    assert pillar.problems == ()
    assert page.value(SENT) == 1
    pillar.close()
    channel.basic_publish("", queue, b"x")

    assert page.value(SENT) == 1
    assert vars(pika.channel.Channel)["basic_publish"] is original


def test_aio_pika_is_measured_the_same(
    url: str, queue: str, page: Page, clock: FakeClock
) -> None:
    """Published with confirmation, refused, delivered, processed, settled."""

    async def drive() -> None:
        connection = await aio_pika.connect_robust(url)
        channel = await connection.channel()
        exchange = channel.default_exchange
        made = await channel.declare_queue(queue)
        done = asyncio.Event()

        async def handle(message: AbstractIncomingMessage) -> None:
            clock.advance(2)
            await message.ack()
            done.set()

        assert await made.get(fail=False) is None
        tag = await made.consume(handle)
        await exchange.publish(aio_pika.Message(b"hunter2"), queue)
        await exchange.publish(aio_pika.Message(b"x"), "missing")
        await asyncio.wait_for(done.wait(), 20)
        await made.cancel(tag)
        await exchange.publish(aio_pika.Message(b"x"), routing_key=queue)
        async with made.iterator() as messages:
            async for message in messages:
                await message.reject()
                break

        await connection.close()

    undo = instrument_aio_pika()
    assert instrument_aio_pika() is undo
    asyncio.run(drive())
    undo()

    here = {"messaging_system": "rabbitmq", "messaging_destination_name": queue}
    assert page.value(SENT, error_type="", **here) == 2
    assert page.value(SENT, error_type="unroutable") == 1
    assert page.count(DURATION, messaging_operation_name="publish") == 3
    assert page.count(DURATION, messaging_operation_name="get") == 1
    assert page.value(CONSUMED, messaging_operation_name="deliver", **here) == 2
    assert page.count(PROCESS, **here) == 1
    assert page.total(PROCESS, **here) == pytest.approx(2)
    assert page.value(SETTLED, messaging_operation_name="ack") == 1
    assert page.value(SETTLED, messaging_operation_name="reject") == 1
    assert "hunter2" not in page.text()
