"""The check of Kafka by confluent-kafka and aiokafka: up, down and hanging."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.errors import DeclarationError
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from tests.health.checks.looking import close, held, look, look_async, until
from tests.servers.harness import DEADLINE_S, eventually
from tests.servers.relay import Relay

pytest.importorskip("aiokafka")
pytest.importorskip("confluent_kafka")

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PASS = CheckResult("pass")
LIMIT_S = 0.5
"""The time-out of a check that may fail, to be asked again."""
PATIENT_S = 4.0
"""That of one that is to pass, which ends as soon as it does."""


@pytest.fixture(scope="module")
def kafka_port() -> Iterator[int]:
    """Run the cluster of one broker that librdkafka has for tests; give its port."""
    host = confluent_kafka.Producer(
        {"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0}
    )
    (broker,) = host.list_topics(timeout=5).brokers.values()
    host.list_topics("orders", timeout=5)  # asking makes it
    yield broker.port
    del host


@pytest.fixture
def kafka(kafka_port: int) -> Iterator[Relay]:
    """Stand before it, and let it name the relay's port for its own."""
    address = b"127.0.0.1"

    def change(data: bytes) -> bytes:
        there, here = struct.pack(">i", kafka_port), struct.pack(">i", relay.port)
        return data.replace(address + there, address + here)

    with Relay(kafka_port, change) as relay:
        yield relay


def servers(relay: Relay) -> str:
    """Write the bootstrap servers."""
    return f"127.0.0.1:{relay.port}"


class TestConfluent:
    """confluent-kafka."""

    @pytest.mark.parametrize("kind", ["text", "configuration", "producer", "consumer"])
    def test_up_down_and_hanging(self, kafka: Relay, kind: str) -> None:
        """It passes, fails when refused or swallowed in time, and recovers."""
        said = {
            "bootstrap.servers": servers(kafka),
            "group.id": "orders",
            "log_level": 0,
            "reconnect.backoff.max.ms": 100,
        }
        svcready.health.add_kafka(
            servers(kafka)
            if kind == "text"
            else said
            if kind == "configuration"
            else confluent_kafka.Producer(said)
            if kind == "producer"
            else confluent_kafka.Consumer(said)
        )
        assert look("kafka", PATIENT_S) == PASS
        before = held()
        kafka.swallow()
        swallowed = [look("kafka", 0.1) for _ in range(10)]
        kafka.refuse()
        refused = [look("kafka", 0.1) for _ in range(10)]
        assert {result.status for result in swallowed + refused} == {"fail"}
        assert "_TRANSPORT" in refused[-1].output or "_TIMED_OUT" in refused[-1].output
        eventually(lambda: held().threads <= before.threads, "no thread is left")
        eventually(lambda: held().files <= before.files, "no connection is left")
        kafka.through()
        eventually(lambda: look("kafka", LIMIT_S) == PASS, "Kafka is back")
        found = CHECKS.get("kafka")
        assert found is not None
        if kind in {"text", "configuration"}:
            assert found.function.target == f"kafka {servers(kafka)}"  # type: ignore[attr-defined]
            close("kafka")

    def test_a_topic(self, kafka: Relay) -> None:
        """A topic passes when its partitions have leaders."""
        svcready.health.add_kafka(servers(kafka), topic="orders")
        assert look("kafka", PATIENT_S) == PASS
        close("kafka")

    def test_writes_nothing(
        self, kafka: Relay, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A client of the check's own is silent while nothing answers."""
        svcready.health.add_kafka(servers(kafka))
        assert look("kafka", PATIENT_S) == PASS
        kafka.refuse()
        for _ in range(10):
            look("kafka", 0.1)

        close("kafka")
        assert capfd.readouterr() == ("", "")


class TestAiokafka:
    """aiokafka."""

    def test_own_client(self, kafka: Relay) -> None:
        """A client of the check's own passes, fails in time, leaves nothing behind."""

        async def run() -> None:
            svcready.health.add_kafka({"bootstrap_servers": servers(kafka)})
            for _ in range(20):
                assert await look_async("kafka", PATIENT_S) == PASS

            assert kafka.most_connections <= 2  # to bootstrap, and to the broker
            before = held()
            tasks = len(asyncio.all_tasks())
            kafka.swallow()
            for _ in range(5):
                assert (await look_async("kafka", 0.1)).status == "fail"

            kafka.refuse()
            for _ in range(5):
                assert (await look_async("kafka", 0.1)).status == "fail"

            await until(lambda: held().files <= before.files)
            await until(lambda: held().threads <= before.threads)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            kafka.through()
            assert await look_async("kafka", PATIENT_S) == PASS
            close("kafka")
            await until(lambda: len(asyncio.all_tasks()) == 1)

        asyncio.run(run())

    @pytest.mark.parametrize("kind", ["producer", "consumer", "admin"])
    def test_the_applications_client(
        self, kafka: Relay, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The application's client is asked, and works on afterwards."""

        async def run() -> None:
            said = {"bootstrap_servers": servers(kafka), "request_timeout_ms": 1000}
            client = {
                "producer": lambda: AIOKafkaProducer(**said),
                "consumer": lambda: AIOKafkaConsumer(**said),
                "admin": lambda: AIOKafkaAdminClient(**said),
            }[kind]()
            svcready.health.add_kafka(client, topic="orders")
            early = await look_async("kafka", PATIENT_S)
            assert early == CheckResult("fail", "the client has not been started")
            await client.start()
            stop = client.close if kind == "admin" else client.stop
            try:
                await used(kafka, caplog)
            finally:
                await stop()  # or it speaks of it whenever it is collected

            late = await look_async("kafka", PATIENT_S)
            assert late == CheckResult("fail", "the application has stopped the client")

        with caplog.at_level(logging.INFO):
            asyncio.run(run())


async def used(kafka: Relay, caplog: pytest.LogCaptureFixture) -> None:
    """Have a started client's cluster swallowed, refused and back."""
    assert await look_async("kafka", PATIENT_S) == PASS
    before = held()
    kafka.swallow()
    for _ in range(10):
        assert (await look_async("kafka", 0.1)).status == "fail"

    async def spoke() -> list[str]:
        caplog.clear()
        for _ in range(5):
            assert (await look_async("kafka", 0.1)).status == "fail"

        return [record.getMessage() for record in caplog.records]

    kafka.refuse()
    async with asyncio.timeout(DEADLINE_S):
        while await spoke():  # of the connections that were cut, by the client itself
            pass

    assert await spoke() == []
    await until(lambda: held().files <= before.files)
    kafka.through()
    async with asyncio.timeout(DEADLINE_S):
        while await look_async("kafka", LIMIT_S) != PASS:
            pass


def test_takes_nothing_else() -> None:
    """What is neither a client nor servers is refused at once."""
    with pytest.raises(DeclarationError, match="takes a client"):
        svcready.health.add_kafka(7)

    with pytest.raises(DeclarationError, match=r"needs 'bootstrap\.servers'"):
        svcready.health.add_kafka({"servers": "kafka:9092"})
