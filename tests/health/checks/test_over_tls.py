"""Checks of Redis and RabbitMQ over TLS: up, down, hanging, and not trusted."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

import svcready
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from tests.health.checks.certificates import save
from tests.health.checks.looking import close, held, look, look_async, until
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import redis_server
from tests.servers.relay import Relay

pytest.importorskip("aio_pika")
pytest.importorskip("pika")
pytest.importorskip("redis")

import aio_pika
import pika
import redis
import redis.asyncio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.rabbitmq import RabbitMQ

PASS = CheckResult("pass")
LIMIT_S = 0.5


class Secured(NamedTuple):
    """A server behind a relay, which passes on what is encrypted."""

    relay: Relay
    certificate: Path


@pytest.fixture(scope="module")
def _tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    directory, port = tmp_path_factory.mktemp("redis"), free_port()
    file = save(directory, days=30, names=("localhost",), authority=False)
    arguments = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    for name in ("cert", "key", "ca-cert"):
        arguments += [f"--tls-{name}-file", str(file)]

    with redis_server(*arguments, password="hunter2"):
        yield port, file


@pytest.fixture
def secured_redis(_tls_redis: tuple[int, Path]) -> Iterator[Secured]:
    """Stand before Redis."""
    port, file = _tls_redis
    with Relay(port) as relay:
        yield Secured(relay, file)


@pytest.fixture
def secured_rabbit(rabbit: RabbitMQ) -> Iterator[Secured]:
    """Stand before RabbitMQ."""
    with Relay(rabbit.tls_port) as relay:
        yield Secured(relay, rabbit.certificate)


def _redis_url(secured: Secured, *, trusted: bool = True) -> str:
    url = f"rediss://:hunter2@localhost:{secured.relay.port}/2"
    return f"{url}?ssl_ca_certs={secured.certificate}" if trusted else url


def _add_redis(secured: Secured, *, trusted: bool = True) -> str:
    url = _redis_url(secured, trusted=trusted)
    svcready.health.add_redis(redis.Redis.from_url(url))
    return "redis"


def _add_pika(secured: Secured, *, trusted: bool = True) -> str:
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(secured.certificate)

    svcready.health.add_pika(
        pika.ConnectionParameters(
            "localhost",
            secured.relay.port,
            credentials=pika.PlainCredentials("guest", "guest"),
            ssl_options=pika.SSLOptions(context, "localhost"),
        )
    )
    return "rabbitmq"


KINDS = [("secured_redis", _add_redis), ("secured_rabbit", _add_pika)]


@pytest.fixture(params=KINDS, ids=["redis", "pika"])
def declare(request: pytest.FixtureRequest) -> Iterator[Callable[..., Secured]]:
    """Declare the check `redis` or `rabbitmq`; give where it looks."""
    fixture, add = request.param
    names: list[str] = []

    def declared(*, trusted: bool = True) -> Secured:
        secured: Secured = request.getfixturevalue(fixture)
        names.append(add(secured, trusted=trusted))
        return secured

    yield declared
    for name in names:
        close(name)


def _look(limit_s: float = LIMIT_S) -> CheckResult:
    (name,) = CHECKS.names()
    return look(name, limit_s)


def test_up_down_hanging_and_up_again(declare: Callable[..., Secured]) -> None:
    """As without TLS: on one connection, in time, and nothing is left behind."""
    relay = declare().relay
    assert [_look() for _ in range(10)] == [PASS] * 10
    assert relay.most_connections == 1
    before = held()
    relay.swallow()
    # The first on the connection that is kept, the others within the handshake.
    results = [_look(0.1) for _ in range(10)]
    assert {result.status for result in results} == {"fail"}
    eventually(lambda: held().threads <= before.threads, "no thread is left")
    eventually(lambda: held().files <= before.files, "no file is left")
    relay.refuse()
    assert _look().status == "fail"
    relay.through()
    assert _look() == PASS


def test_a_certificate_that_is_not_trusted(declare: Callable[..., Secured]) -> None:
    """It fails, says so, and shows no password."""
    declare(trusted=False)
    result = _look()
    assert result.status == "fail"
    assert "certificate verify failed" in result.output
    assert "hunter2" not in result.output


def test_asynchronous_redis(secured_redis: Secured) -> None:
    """The same on a loop."""

    async def run() -> None:
        relay = secured_redis.relay
        client = redis.asyncio.Redis.from_url(_redis_url(secured_redis))
        svcready.health.add_redis(client)
        assert [await look_async("redis", LIMIT_S) for _ in range(10)] == [PASS] * 10
        assert relay.most_connections == 1
        relay.swallow()
        for _ in range(5):
            assert (await look_async("redis", 0.1)).status == "fail"

        relay.refuse()
        assert (await look_async("redis")).status == "fail"
        relay.through()
        assert await look_async("redis", LIMIT_S) == PASS
        close("redis")
        await until(lambda: not relay.connections)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_aio_pika(secured_rabbit: Secured) -> None:
    """The application's own connection, until it is swallowed and then cut."""

    async def run() -> None:
        relay = secured_rabbit.relay
        context = ssl.create_default_context(cafile=secured_rabbit.certificate)
        connection = await aio_pika.connect_robust(
            f"amqps://guest:guest@localhost:{relay.port}/",
            ssl_context=context,
            reconnect_interval=0.05,
        )
        svcready.health.add_aio_pika(connection)
        assert [await look_async("rabbitmq", LIMIT_S) for _ in range(5)] == [PASS] * 5
        assert relay.most_connections == 1
        relay.swallow()
        for _ in range(5):
            assert (await look_async("rabbitmq", 0.1)).status == "fail"

        relay.refuse()
        await until(
            lambda: connection.transport is None or not connection.connected.is_set()
        )
        assert (await look_async("rabbitmq", 0.1)).status == "fail"
        relay.through()
        async with asyncio.timeout(5):
            await connection.connected.wait()

        assert await look_async("rabbitmq", LIMIT_S) == PASS
        with suppress(Exception):
            await connection.close()

    asyncio.run(run())
