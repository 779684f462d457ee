"""What Redis's errors mean, and retries of commands, on a real server."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_py
import redis.asyncio as async_redis
import redis.exceptions as errors
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from svcready.resilience import get_breaker, policy, redis
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.architecture.house import run_clean_json
from tests.resilience.peers import breaker_of, judged, retrier_of, run_on
from tests.servers.harness import free_port
from tests.servers.redis_server import redis_server
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a server is."""
    with redis_server() as server:
        yield server.port


@contextmanager
def failing(
    kind: type[Exception], match: str | None = None
) -> Iterator[list[Exception]]:
    """Collect the error that the block raises."""
    found: list[Exception] = []
    with pytest.raises(kind, match=match) as caught:
        yield found

    found.append(caught.value)


def wanted_by(pool: Any) -> tuple[str, ...]:
    """Return what `get_connection` takes: up to redis-py 5.2 the command's name."""
    command = inspect.signature(pool.get_connection).parameters["command_name"]
    return ("GET",) if command.default is inspect.Parameter.empty else ()


@pytest.mark.parametrize(
    ("error", "transient", "outcome"),
    [
        (redis_py.ConnectionError("lost"), True, "failure"),
        (redis_py.TimeoutError(), True, "failure"),
        (redis_py.BusyLoadingError(), True, "failure"),
        (redis_py.ReadOnlyError(), True, "failure"),
        (errors.ClusterDownError("CLUSTERDOWN"), True, "failure"),
        (errors.MasterDownError("MASTERDOWN"), True, "failure"),
        (errors.TryAgainError("TRYAGAIN"), True, "failure"),
        (redis_py.AuthenticationError(), False, "failure"),
        (errors.OutOfMemoryError(), False, "failure"),
        (errors.MaxConnectionsError(), False, "inconclusive"),
        (redis_py.ResponseError("WRONGTYPE"), False, "success"),
        (errors.NoScriptError(), False, "success"),
        (redis_py.WatchError(), False, "success"),
        (errors.LockError(), False, "success"),
        (ConnectionResetError(), True, "failure"),
        (KeyError(), False, "ignored"),
    ],
)
def test_what_an_error_means(
    error: Exception, *, transient: bool, outcome: str
) -> None:
    """A no is an answer; a server that can't at the moment fails."""
    assert redis.transient(error) is transient
    assert judged(redis, error) == outcome


def test_what_a_server_says(port: int) -> None:
    """A wrong type, a replica, a full memory and an unknown script, as they come."""
    client = redis.without_retries(redis_py.Redis(port=port))
    client.set("a", "text")
    with failing(redis_py.ResponseError) as wrong:
        client.incr("a")

    assert judged(redis, wrong[0]) == "success"
    assert not redis.transient(wrong[0])
    client.replicaof("127.0.0.1", str(free_port()))
    with failing(redis_py.ReadOnlyError) as replica:
        client.set("a", "b")

    client.replicaof("NO", "ONE")
    assert redis.transient(replica[0])
    client.config_set("maxmemory", "1")
    with failing(redis_py.ResponseError, "maxmemory") as full:
        client.set("a", "b")

    client.config_set("maxmemory", "0")
    assert judged(redis, full[0]) == "failure"
    assert not redis.transient(full[0])
    client.close()


def test_a_broken_connection_is_replaced(port: int) -> None:
    """A command whose connection was killed runs again, once."""
    with Relay(port) as relay:
        client = redis.without_retries(redis_py.Redis(port=relay.port))
        client.set("a", "1")
        relay.refuse()
        relay.through()
        assert policy("cache", preset="redis").call(client.get, "a") == b"1"
        client.close()

    counts = retrier_of("cache").counts()
    assert counts.get("recovered", 0) + counts["success"] == 1


def test_attempts_of_redis_pys_own_do_not_multiply(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its own retries three attempts are three connections."""
    tried = []
    plain: Any = redis_py.Connection._connect

    def connect(self: Any) -> Any:
        tried.append(1)
        return plain(self)

    monkeypatch.setattr(redis_py.Connection, "_connect", connect)
    # redis-py 5 raises what the socket did, and retries that if it is told to.
    own = Retry(ConstantBackoff(0.0), 3, (redis_py.ConnectionError, OSError))
    client = redis_py.Redis(port=free_port(), retry=own)
    guarded = policy("cache", preset="redis")
    run_on(FakeClock())
    with pytest.raises(redis_py.ConnectionError):
        guarded.call(client.get, "a")

    many = len(tried)
    tried.clear()
    assert redis.without_retries(client) is client
    with pytest.raises(redis_py.ConnectionError):
        guarded.call(client.get, "a")

    assert len(tried) == 3 < many
    assert breaker_of("cache").counts()["failure"] == 6
    client.close()


def test_a_full_pool_is_no_outage(port: int) -> None:
    """No free connection opens no breaker, of either kind of pool."""
    blocking: Any = redis_py.BlockingConnectionPool
    pools: tuple[Any, ...] = (
        redis_py.ConnectionPool(port=port, max_connections=1),
        blocking(port=port, max_connections=1, timeout=0),
    )
    for pool in pools:
        client = redis.without_retries(redis_py.Redis(connection_pool=pool))
        held = pool.get_connection(*wanted_by(pool))
        with failing(redis_py.ConnectionError) as full:
            client.get("a")

        pool.release(held)
        pool.disconnect()
        assert judged(redis, full[0]) == "inconclusive"
        assert not redis.transient(full[0])


def test_async_clients(port: int) -> None:
    """An async client is retried and judged alike."""

    async def run() -> None:
        with Relay(port) as relay:
            client = redis.without_retries(async_redis.Redis(port=relay.port))
            await client.set("a", "1")
            relay.refuse()
            relay.through()
            guarded = policy("cache", preset="redis")
            assert await guarded.call(client.get, "a") == b"1"
            await getattr(client, "aclose", client.close)()  # since 5.0.1

        pool: Any = async_redis.BlockingConnectionPool(
            port=port, max_connections=1, timeout=0.01
        )
        busy = redis.without_retries(async_redis.Redis(connection_pool=pool))
        held = await pool.get_connection(*wanted_by(pool))
        with failing(redis_py.ConnectionError) as full:
            await busy.get("a")

        await pool.release(held)
        await pool.disconnect()
        assert judged(redis, full[0]) == "inconclusive"

    asyncio.run(run())
    assert get_breaker("cache").state == "closed"


def test_a_deadline_is_no_failure_of_the_servers() -> None:
    """A time-out after the deadline is the caller's, one before it the server's."""
    assert judged(redis, redis_py.TimeoutError()) == "failure"
    token = _deadline.put(time.monotonic() - 1.0)
    try:
        assert judged(redis, redis_py.TimeoutError()) == "ignored"
        assert judged(redis, redis_py.ConnectionError()) == "failure"
    finally:
        _deadline.lift(token)


def test_what_is_no_client_is_refused() -> None:
    """A mistake in the code is told at once."""
    with pytest.raises(TypeError, match="no client"):
        redis.without_retries(object())


def test_nothing_is_imported() -> None:
    """Judging an error loads no client library, brokers' neither."""
    program = """
import json, sys
from svcready.resilience import message, redis
redis.transient(ConnectionError()), message.transient(ValueError())
libraries = ("redis", "pika", "aiormq", "kombu", "aiokafka", "confluent_kafka",
             "botocore", "asyncio")
print(json.dumps([name for name in libraries if name in sys.modules]))
"""
    assert run_clean_json(program) == []
