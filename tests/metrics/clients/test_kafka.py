"""Metrics of Kafka's clients, against the brokers that librdkafka plays."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from svcready.metrics import instrument_kafka, kafka_statistics
from tests.metrics.clients.support import Page
from tests.servers.harness import eventually

aiokafka = pytest.importorskip("aiokafka")
confluent_kafka = pytest.importorskip("confluent_kafka")

from confluent_kafka.admin import AdminClient  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics._pillar import MetricsPillar

SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"
LAG = "messaging.kafka.consumer.lag"


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Have librdkafka listen as a broker, which speaks Kafka's protocol."""
    cluster = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"
    del cluster


async def send(brokers: str, topic: str, messages: int) -> None:
    """Send messages and wait for their delivery."""
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=brokers) as producer:
        for _ in range(messages):
            await producer.send_and_wait(topic, b"hunter2", partition=0)


async def take(brokers: str, topic: str, page: Page) -> list[float]:
    """Take a message, then what is left; return the lag after each."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=brokers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([aiokafka.TopicPartition(topic, 0)])
        await asyncio.wait_for(consumer.getone(), 20)
        lags = [page.value(LAG, messaging_destination_name=topic)]
        taken = 1
        while taken < 3:
            found = await consumer.getmany(timeout_ms=1000)
            taken += sum(map(len, found.values()))

        lags.append(page.value(LAG, messaging_destination_name=topic))
    finally:
        await consumer.stop()  # or it speaks of it whenever it is collected

    return lags


def test_messages_are_counted_by_topic(brokers: str, page: Page) -> None:
    """Sent with their delivery, consumed one by one or many, and the lag told."""
    undo = instrument_kafka()
    assert instrument_kafka() is undo
    asyncio.run(send(brokers, "orders", 3))
    lags = asyncio.run(take(brokers, "orders", page))
    undo()
    asyncio.run(send(brokers, "orders", 1))

    here = {"messaging_system": "kafka", "messaging_destination_name": "orders"}
    assert page.value(SENT, error_type="", **here) == 3
    assert page.count("messaging.client.operation.duration", **here) == 3
    assert page.value(CONSUMED, **here) == 3
    assert lags == [2, 0]
    assert "hunter2" not in page.text()


def test_a_message_that_cannot_be_sent_is_a_failure(brokers: str, page: Page) -> None:
    """What the client itself refuses counts by the error's class."""

    async def drive() -> None:
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=brokers, max_request_size=100
        ) as producer:
            await producer.send("orders", b"x" * 1000)

    undo = instrument_kafka()
    with pytest.raises(aiokafka.errors.MessageSizeTooLargeError):
        asyncio.run(drive())

    undo()
    assert page.value(SENT, error_type="MessageSizeTooLargeError") == 1


def test_a_failure_that_nobody_looks_at_is_told_by_asyncio(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without metrics, which look at a delivery's error and leave it unseen."""
    told: list[str] = []

    async def fail(_: object, topic: str) -> asyncio.Future[object]:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ConnectionError(topic))
        return future

    async def drive() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, said: told.append(said["message"]))
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers="localhost:1")
        await producer.send("orders")
        await asyncio.sleep(0)
        await producer.stop()
        gc.collect()

    monkeypatch.setattr(aiokafka.AIOKafkaProducer, "send", fail)
    undo = instrument_kafka()
    asyncio.run(drive())
    undo()

    assert told == ["Future exception was never retrieved"]
    assert page.value(SENT, error_type="ConnectionError") == 1


def test_librdkafkas_statistics_are_counted(brokers: str, page: Page) -> None:
    """What a client of confluent-kafka says of itself is added up."""
    options = {
        "bootstrap.servers": brokers,
        "statistics.interval.ms": 20,
        "stats_cb": kafka_statistics,
    }
    producer = confluent_kafka.Producer(options)
    for _ in range(3):
        producer.produce("parcels", b"x", partition=0)

    producer.flush(10)
    here = {"messaging_system": "kafka", "messaging_destination_name": "parcels"}

    def sent() -> bool:
        producer.poll(0.02)
        return page.value(SENT, **here) == 3

    eventually(sent, "the producer's statistics")
    consumer = confluent_kafka.Consumer(
        {**options, "group.id": "packers", "auto.offset.reset": "earliest"}
    )
    consumer.assign([confluent_kafka.TopicPartition("parcels", 0, 0)])

    def consumed() -> bool:
        consumer.poll(0.02)
        return page.value(CONSUMED, **here) == 3

    eventually(consumed, "the consumer's statistics")
    consumer.close()
    assert sent()


def test_by_name_kafka_is_measured(
    brokers: str, make_pillar: Callable[..., MetricsPillar]
) -> None:
    """The setting patches aiokafka until the pillar ends."""
    before = vars(aiokafka.AIOKafkaProducer)["send"]
    pillar = make_pillar(instrument=("kafka",))
    asyncio.run(send(brokers, "orders", 1))
    page = Page(pillar)

    assert pillar.problems == ()
    assert page.value(SENT) == 1
    pillar.close()
    assert vars(aiokafka.AIOKafkaProducer)["send"] is before
