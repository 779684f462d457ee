"""What brokers' errors mean, on a real RabbitMQ and a Kafka, and a retried publish."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aio_pika
import aiokafka.errors
import aiormq.exceptions
import amqp.exceptions  # type: ignore[import-untyped]
import confluent_kafka
import kombu.exceptions
import pika
import pika.exceptions
import pytest

from svcready.resilience import message, policy
from svcready.resilience._timing import _deadline
from tests.resilience.peers import breaker_of, judged, retrier_of
from tests.resilience.test_aws import failed
from tests.servers.harness import free_port
from tests.servers.rabbitmq import RabbitMQ, rabbitmq_server
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITED: dict[str, Any] = {"x-max-length": 1, "x-overflow": "reject-publish"}


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMQ]:
    """A broker."""
    with rabbitmq_server() as server:
        yield server


def kafka(name: str) -> Exception:
    """Return what confluent_kafka raises."""
    code = getattr(confluent_kafka.KafkaError, name)
    return confluent_kafka.KafkaException(confluent_kafka.KafkaError(code))


LOST = [
    pika.exceptions.StreamLostError(),
    pika.exceptions.AMQPHeartbeatTimeout(),
    pika.exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED"),
    pika.exceptions.ChannelClosedByBroker(541, "INTERNAL_ERROR"),
    pika.exceptions.ChannelWrongStateError(),
    pika.exceptions.NackError([]),
    aiormq.exceptions.AMQPConnectionError(),
    aiormq.exceptions.ConnectionInternalError(),
    aiormq.exceptions.ChannelInvalidStateError(),
    kombu.exceptions.OperationalError(),
    amqp.exceptions.ConnectionForced(),
    kafka("_TRANSPORT"),
    kafka("_MSG_TIMED_OUT"),
    kafka("NOT_ENOUGH_REPLICAS"),
    aiokafka.errors.NotLeaderForPartitionError(),
    aiokafka.errors.KafkaConnectionError(),
    aiokafka.errors.KafkaTimeoutError(),
    failed("ThrottlingException"),
    ConnectionResetError(),
    socket.gaierror(),
]
REFUSED = [
    pika.exceptions.ChannelClosedByBroker(404, "NOT_FOUND"),
    pika.exceptions.UnroutableError([]),
    aiormq.exceptions.ChannelNotFoundEntity(),
    aiormq.exceptions.ChannelPreconditionFailed(),
    amqp.exceptions.NotFound(),
    kafka("MSG_SIZE_TOO_LARGE"),
    kafka("_FENCED"),
    aiokafka.errors.MessageSizeTooLargeError(),
    failed("QueueDoesNotExist"),
]
UNUSABLE = [
    pika.exceptions.ProbableAuthenticationError(),
    pika.exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED"),
    aiormq.exceptions.ConnectionNotAllowed(),
    amqp.exceptions.NotAllowed(),
    kafka("_SSL"),
]
LOCAL = [
    pika.exceptions.NoFreeChannels(),
    pika.exceptions.ConnectionClosedByClient(200, ""),
    kafka("_QUEUE_FULL"),
    kafka("_STATE"),
    BufferError(),
    aiokafka.errors.ProducerClosed(),
]


@pytest.mark.parametrize(
    ("errors", "transient", "outcome"),
    [
        (LOST, True, "failure"),
        (REFUSED, False, "success"),
        (UNUSABLE, False, "failure"),
        (LOCAL, False, "inconclusive"),
        ([KeyError(), ValueError()], False, "ignored"),
    ],
    ids=["lost", "refused", "unusable", "local", "unrelated"],
)
def test_what_an_error_means(
    errors: list[Exception], *, transient: bool, outcome: str
) -> None:
    """Of every client's errors: whether to try again, and who is at fault."""
    for error in errors:
        assert message.transient(error) is transient, error
        assert judged(message, error) == outcome, error


def test_a_handlers_time_out_after_the_deadline() -> None:
    """A time-out counts against the broker unless the caller's time is over."""
    assert judged(message, TimeoutError()) == "failure"
    token = _deadline.put(time.monotonic() - 1.0)
    try:
        assert judged(message, TimeoutError()) == "ignored"
    finally:
        _deadline.lift(token)


@contextmanager
def channel(rabbit: RabbitMQ) -> Iterator[Any]:
    """Open a channel that confirms."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    try:
        made = connection.channel()
        made.confirm_delivery()
        yield made
    finally:
        if connection.is_open:
            connection.close()


def test_what_rabbitmq_says_to_pika(rabbit: RabbitMQ) -> None:
    """A full queue may have room later; no queue and no exchange are final."""
    with channel(rabbit) as made:
        made.queue_declare("limited", arguments=LIMITED)
        made.basic_publish("", "limited", b"1")
        with pytest.raises(pika.exceptions.NackError) as full:
            made.basic_publish("", "limited", b"2")

        with pytest.raises(pika.exceptions.UnroutableError) as lost:
            made.basic_publish("", "nowhere", b"3", mandatory=True)

        made.queue_delete("limited")
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as missing:
            made.basic_publish("nowhere", "", b"4")

    assert message.transient(full.value)
    for refused in (lost.value, missing.value):
        assert not message.transient(refused)
        assert message.answered(refused)


def test_a_publish_is_repeated_on_another_connection(rabbit: RabbitMQ) -> None:
    """Publishing across a broken connection succeeds at the second attempt."""
    breaks = [True]
    with Relay(rabbit.port) as relay:
        parameters = pika.ConnectionParameters("127.0.0.1", relay.port)

        @policy("orders-events", preset="message")
        def publish(body: bytes) -> None:
            connection = pika.BlockingConnection(parameters)
            made = connection.channel()
            made.queue_declare("orders")
            made.confirm_delivery()
            if breaks:
                breaks.pop()
                relay.refuse()
                relay.through()

            made.basic_publish("", "orders", body)
            connection.close()

        publish(b"1")

    with channel(rabbit) as made:
        assert made.basic_get("orders", auto_ack=True)[2] == b"1"

    assert retrier_of("orders-events").counts()["recovered"] == 1
    assert breaker_of("orders-events").counts()["failure"] == 1


def test_what_rabbitmq_says_to_aio_pika(rabbit: RabbitMQ) -> None:
    """The same of the async client."""

    async def run() -> None:
        connection = await aio_pika.connect(rabbit.url)
        async with connection:
            made = await connection.channel(on_return_raises=True)
            queue = await made.declare_queue("limited-async", arguments=LIMITED)
            body = aio_pika.Message(b"1")
            await made.default_exchange.publish(body, queue.name)
            with pytest.raises(aiormq.exceptions.DeliveryError) as full:
                await made.default_exchange.publish(body, queue.name)

            assert message.transient(full.value)
            with pytest.raises(aiormq.exceptions.PublishError) as unroutable:
                await made.default_exchange.publish(body, "nowhere")

            assert message.answered(unroutable.value)
            assert not message.transient(unroutable.value)
            await queue.delete(if_empty=False)
            with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity) as missing:
                await made.get_queue("nowhere")

            assert message.answered(missing.value)

        with pytest.raises(aiormq.exceptions.AMQPConnectionError) as refused:
            await aio_pika.connect(f"amqp://127.0.0.1:{free_port()}/")

        assert message.transient(refused.value)
        wrong = rabbit.url.replace("guest:guest", "guest:wrong")
        with pytest.raises(aiormq.exceptions.AMQPConnectionError) as outside:
            await aio_pika.connect(wrong)

        assert not message.transient(outside.value)

    asyncio.run(run())


def test_what_confluent_kafka_says() -> None:
    """A cluster that can't be reached is transient, and a full queue local."""
    nowhere = {"bootstrap.servers": f"127.0.0.1:{free_port()}", "log_level": 0}
    producer = confluent_kafka.Producer({**nowhere, "queue.buffering.max.messages": 1})
    with pytest.raises(confluent_kafka.KafkaException) as cut_off:
        producer.list_topics(timeout=0.3)

    assert message.transient(cut_off.value)
    producer.produce("orders", b"1")
    with pytest.raises(BufferError) as full:
        producer.produce("orders", b"2")

    assert message.local(full.value)
    producer.purge()
