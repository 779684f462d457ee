"""The check of RabbitMQ by aio-pika: up, down, hanging and blocked."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from tests.health.checks.looking import held, look_async, until

pytest.importorskip("aio_pika")

import aio_pika

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.servers.relay import Relay

PASS = CheckResult("pass")
LIMIT_S = 0.5


async def connect(broker: Relay) -> aio_pika.abc.AbstractRobustConnection:
    """Connect as an application does, and declare the check."""
    url = f"amqp://guest:guest@127.0.0.1:{broker.port}/?reconnect_interval=0.05"
    connection = await aio_pika.connect_robust(url)
    svcready.health.add_aio_pika(connection)
    return connection


def channels(connection: aio_pika.abc.AbstractConnection) -> int:
    """Count the channels that are open on the wire."""
    assert connection.transport is not None
    open_channels = connection.transport.connection.channels
    return sum(1 for channel in open_channels.values() if channel is not None)


def test_uses_the_applications_connection(broker: Relay) -> None:
    """Many runs open no connection and leave no channel."""

    async def run() -> None:
        async with await connect(broker) as connection:
            before = channels(connection)
            for _ in range(50):
                assert await look_async("rabbitmq", LIMIT_S) == PASS

            assert broker.most_connections == 1
            assert channels(connection) == before

        assert (await look_async("rabbitmq")).output == (
            "the application has closed the connection"
        )

    asyncio.run(run())
    found = CHECKS.get("rabbitmq")
    assert found is not None
    assert found.function.target == f"rabbitmq 127.0.0.1:{broker.port} vhost /"  # type: ignore[attr-defined]


def test_fails_while_it_is_disconnected(
    broker: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that is gone fails, without a line of its own, until it is back."""

    async def run() -> None:
        async with await connect(broker) as connection:
            assert await look_async("rabbitmq", LIMIT_S) == PASS
            broker.refuse()
            await until(lambda: not connection.connected.is_set())
            for _ in range(5):
                assert (await look_async("rabbitmq", LIMIT_S)).status == "fail"

            broker.through()
            await until(connection.connected.is_set)
            assert await look_async("rabbitmq", LIMIT_S) == PASS

    with caplog.at_level(logging.INFO):
        asyncio.run(run())

    # Only the connection itself tells of its attempts to connect again.
    assert not any(
        "channel" in record.getMessage().lower() for record in caplog.records
    )


def test_ends_when_all_is_swallowed(broker: Relay) -> None:
    """A connection that hangs fails in time, and one question is all that waits."""

    async def run() -> None:
        async with await connect(broker) as connection:
            assert await look_async("rabbitmq", LIMIT_S) == PASS
            before, tasks = held(), len(asyncio.all_tasks())
            open_before = channels(connection)
            broker.swallow()
            for _ in range(20):
                result = await look_async("rabbitmq", 0.05)
                assert result.status == "fail"
                assert "no answer within 0.05 s" in result.output

            assert held() == before
            assert channels(connection) <= open_before + 1
            assert len(asyncio.all_tasks()) <= tasks + 4  # of the one question
            broker.through()
            await until(lambda: not connection.connected.is_set())
            await until(connection.connected.is_set)
            assert await look_async("rabbitmq", LIMIT_S) == PASS

    asyncio.run(run())


def test_runs_on_another_loop(broker: Relay) -> None:
    """A check on a private loop asks on the loop of the connection."""

    async def run() -> None:
        async with await connect(broker):
            results: list[CheckResult] = []
            thread = threading.Thread(
                target=lambda: results.append(
                    asyncio.run(look_async("rabbitmq", LIMIT_S))
                )
            )
            thread.start()
            await until(lambda: not thread.is_alive())
            assert results == [PASS]

    asyncio.run(run())
    ended = asyncio.run(look_async("rabbitmq", LIMIT_S))
    assert ended.status == "fail"


def test_warns_while_it_is_blocked(
    broker: Relay, full_broker: Callable[[], AbstractContextManager[None]]
) -> None:
    """A connection that RabbitMQ blocks is a warning."""

    async def run() -> None:
        async with await connect(broker) as connection:
            channel = await connection.channel(publisher_confirms=False)
            with full_broker():
                message = aio_pika.Message(b"")
                await channel.default_exchange.publish(message, "nowhere")
                while (result := await look_async("rabbitmq", LIMIT_S)) == PASS:
                    pass

                assert result == CheckResult("warn", "RabbitMQ blocks the connection")

            while await look_async("rabbitmq", LIMIT_S) != PASS:
                pass

    asyncio.run(run())
