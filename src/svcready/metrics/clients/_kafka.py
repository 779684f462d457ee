"""Metrics of messages through Kafka, by aiokafka and by confluent-kafka."""

from __future__ import annotations

import json
import math
import weakref
from typing import TYPE_CHECKING, cast

from svcready.metrics.clients._messaging import messaging
from svcready.metrics.clients._shared import (
    DECLARE,
    Installed,
    Patches,
    error_type,
    quiet,
)

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Protocol

    from svcready.metrics._instruments._levels import Gauge

    class Record(Protocol):
        """A message of Kafka."""

        topic: str
        partition: int
        offset: int


__all__ = ["instrument_kafka", "kafka_statistics"]

_SYSTEM = "kafka"
_installed: Installed[type] = Installed()


def instrument_kafka() -> Callable[[], None]:
    """
    Measure the messages of all producers and consumers of aiokafka.

    What is sent, how long its delivery took and whether it failed; what is consumed;
    how far a consumer is behind, by partition. For confluent-kafka see
    `svcready.metrics.kafka_statistics`.

    Returns:
        What takes the instrumentation back.
    """
    from aiokafka import AIOKafkaProducer

    return _installed.once(AIOKafkaProducer, _install)


def kafka_statistics(text: str) -> None:
    """
    Take the statistics of a client of confluent-kafka, as its `stats_cb`.

    ```python
    Consumer(
        {
            "statistics.interval.ms": 15_000,
            "stats_cb": svcready.metrics.kafka_statistics,
            ...: ...,
        }
    )
    ```

    They say how many messages were sent and received by topic, and how far a consumer
    is behind by partition. Why a delivery failed they don't say.

    Args:
        text: JSON, as librdkafka has it.
    """
    with quiet:
        found = json.loads(text)
        client = str(found.get("name", ""))
        lag = _lag()
        for topic, of_topic in found.get("topics", {}).items():
            for partition, said in of_topic.get("partitions", {}).items():
                if partition == "-1":  # librdkafka's own, for what has none yet
                    continue

                key = (client, topic, partition)
                sent, received = said.get("txmsgs", 0), said.get("rxmsgs", 0)
                before = _counted.get(key, (0, 0))
                _counted[key] = (sent, received)
                messaging(_SYSTEM).sent(topic, "send", max(0, sent - before[0]))
                messaging(_SYSTEM).consumed(topic, "poll", max(0, received - before[1]))
                if (behind := said.get("consumer_lag", -1)) >= 0:
                    lag.labels(topic, partition, "").set(behind)  # it names no group


_counted: dict[tuple[str, str, str], tuple[int, int]] = {}


def _failure(future: Future[object]) -> str:
    """Return the class of the error in which a delivery ended; empty if it did not."""
    if future.cancelled():
        return "CancelledError"

    # Asked by `exception()`, asyncio would take it for dealt with, and not tell of a
    # failure that the application never looks at.
    error = getattr(future, "_exception", None)
    return "" if error is None else error_type(error)


def _lag() -> Gauge:
    return DECLARE.gauge(
        "messaging.kafka.consumer.lag",
        "Messages of a partition that its consumer has not yet taken.",
        unit="{message}",
        labels=(
            "messaging_destination_name",
            "messaging_destination_partition_id",
            "messaging_consumer_group_name",
        ),
        workers="latest",  # a partition moves from one process to another
    )


def _install(producer: type) -> Callable[[type], None]:
    from aiokafka import AIOKafkaConsumer

    patches = Patches()
    watch = _Watch()
    patches.wrap_class(producer, "send", watch.send)
    patches.wrap_class(AIOKafkaConsumer, "getone", watch.get_one)
    patches.wrap_class(AIOKafkaConsumer, "getmany", watch.get_many)

    def remove(_: type) -> None:
        patches.undo()

    return remove


class _Watch:
    """What stands around the methods of producers and consumers."""

    def __init__(self) -> None:
        self._messaging = messaging(_SYSTEM)
        self._lag = _lag()
        self._offsets: weakref.WeakKeyDictionary[object, dict[tuple[str, int], int]]
        self._offsets = weakref.WeakKeyDictionary()

    async def send(
        self,
        inner: Callable[..., Awaitable[Future[object]]],
        _: object,
        topic: str,
        *args: object,
        **kwargs: object,
    ) -> Future[object]:
        """Send a message; its delivery comes later."""
        clock = self._messaging.watch
        started_s = clock.now()

        def delivered(future: Future[object]) -> None:
            with quiet:
                kind = _failure(future)
                self._messaging.sent(topic, "send", 1, kind)
                self._messaging.took(topic, "send", clock.now() - started_s, kind)

        try:
            future = await inner(topic, *args, **kwargs)
        except Exception as error:
            with quiet:
                self._messaging.sent(topic, "send", 1, error_type(error))

            raise

        future.add_done_callback(delivered)
        return future

    async def get_one(
        self,
        inner: Callable[..., Awaitable[Record]],
        consumer: object,
        *args: object,
        **kwargs: object,
    ) -> Record:
        """Take one message."""
        record = await inner(*args, **kwargs)
        with quiet:
            self._took(consumer, [record])

        return record

    async def get_many(
        self,
        inner: Callable[..., Awaitable[Mapping[object, Sequence[Record]]]],
        consumer: object,
        *args: object,
        **kwargs: object,
    ) -> Mapping[object, Sequence[Record]]:
        """Take what there is."""
        found = await inner(*args, **kwargs)
        with quiet:
            for records in found.values():
                self._took(consumer, records)

        return found

    def _took(self, consumer: object, records: Sequence[Record]) -> None:
        if not records:
            return

        last = records[-1]
        self._messaging.consumed(last.topic, "poll", len(records))
        offsets = self._offsets.setdefault(consumer, {})
        place = (last.topic, last.partition)
        if place not in offsets:
            self._watch_lag(consumer, *place)

        offsets[place] = last.offset + 1

    def _watch_lag(self, consumer: object, topic: str, partition: int) -> None:
        from aiokafka import TopicPartition

        reference, offsets = weakref.ref(consumer), self._offsets
        place = TopicPartition(topic, partition)

        def behind() -> float:
            consumer = reference()
            assignment = getattr(consumer, "assignment", set)
            if consumer is None or place not in assignment():
                return math.nan  # another one's by now

            highwater = cast(
                "Callable[[object], int | None]", getattr(consumer, "highwater", None)
            )
            end = highwater(place)
            taken = offsets.get(consumer, {}).get((topic, partition))
            return math.nan if end is None or taken is None else max(0, end - taken)

        group = str(getattr(consumer, "_group_id", None) or "")
        self._lag.labels(topic, partition, group).set_function(behind)
