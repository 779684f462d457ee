"""The check of Redis: up, down and hanging, of every kind of client."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.errors import DeclarationError
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from tests.health.checks.looking import close, held, look, look_async, until
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import RedisServer, redis_server
from tests.servers.relay import Relay

pytest.importorskip("redis")

import redis
import redis.asyncio
from redis.sentinel import Sentinel

if TYPE_CHECKING:
    from collections.abc import Iterator

PASS = CheckResult("pass")


def _other_than_pass(name: str = "redis") -> CheckResult:
    """Wait until the check says something else."""
    found: list[CheckResult] = []

    def differs() -> bool:
        found[:] = [look(name)]
        return found != [PASS]

    eventually(differs, "another result")
    return found[0]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Run a server that asks for a password."""
    with redis_server(password="hunter2") as made:
        yield made


@pytest.fixture
def relay(server: RedisServer) -> Iterator[Relay]:
    """Stand before it."""
    with Relay(server.port) as made:
        yield made


@pytest.fixture
def client(relay: Relay) -> Iterator[redis.Redis]:
    """Make a client that waits for ever, as many applications' do."""
    with redis.Redis(
        port=relay.port, password="hunter2", db=2, socket_timeout=None
    ) as made:
        yield made
        if CHECKS.get("redis"):
            close("redis")


class TestBlocking:
    """A client of `redis`."""

    def test_passes_on_one_connection(self, client: redis.Redis, relay: Relay) -> None:
        """Many runs use one connection of their own, and none of the pool's."""
        svcready.health.add_redis(client)
        assert [look("redis") for _ in range(50)] == [PASS] * 50
        assert relay.most_connections == 1
        assert client.connection_pool._available_connections == []

    def test_says_what_it_checks_without_secrets(self, client: redis.Redis) -> None:
        """The target names host, port and database."""
        svcready.health.add_redis(client)
        found = CHECKS.get("redis")
        assert found is not None
        target = found.function.target  # type: ignore[attr-defined]
        port = client.connection_pool.connection_kwargs["port"]
        assert target == f"redis localhost:{port}/2"
        assert found.criticality == "degraded"

    def test_fails_when_refused_and_recovers(
        self, client: redis.Redis, relay: Relay
    ) -> None:
        """A server that is gone fails, one that is back passes, with nothing left."""
        svcready.health.add_redis(client)
        look("redis")
        relay.refuse()
        gone = look("redis")
        assert gone.status == "fail"
        assert "ConnectionError" in gone.output
        assert "hunter2" not in gone.output
        relay.through()
        assert look("redis") == PASS

    def test_ends_when_all_is_swallowed(
        self, client: redis.Redis, relay: Relay
    ) -> None:
        """A black hole fails within the check's time, and leaves nothing behind."""
        svcready.health.add_redis(client)
        look("redis")
        before = held()
        relay.swallow()
        results = [look("redis", 0.05) for _ in range(20)]
        assert {result.status for result in results} == {"fail"}
        assert held().threads == before.threads
        assert held().files <= before.files
        relay.through()
        assert look("redis") == PASS

    def test_leaves_the_pool_alone(self, client: redis.Redis, relay: Relay) -> None:
        """The application's connections are as they were after a failed check."""
        client.ping()
        (own,) = client.connection_pool._available_connections
        svcready.health.add_redis(client)
        relay.swallow()
        assert look("redis").status == "fail"
        assert client.connection_pool._available_connections == [own]
        assert own.socket_timeout is None

    def test_connects_anew_after_the_server_closed_it(
        self, client: redis.Redis, server: RedisServer
    ) -> None:
        """A connection that the server ended while it was idle is no failure."""
        svcready.health.add_redis(client)
        look("redis")
        with redis.Redis(port=server.port, password="hunter2") as operator:
            operator.client_kill_filter(_type="normal", skipme=True)

        assert look("redis") == PASS

    def test_says_that_the_password_is_wrong(self, relay: Relay) -> None:
        """A refused password fails and is not shown."""
        with redis.Redis(port=relay.port, password="wrong-one") as client:
            svcready.health.add_redis(client)
            result = look("redis")

        assert result.status == "fail"
        assert "AuthenticationError" in result.output
        assert "wrong-one" not in result.output

    @pytest.mark.parametrize(
        "kind", [redis.ConnectionPool, redis.BlockingConnectionPool]
    )
    def test_warns_of_an_exhausted_pool(
        self, relay: Relay, kind: type[redis.ConnectionPool]
    ) -> None:
        """A pool without a free connection is a warning, and is not waited for."""
        pool = kind(port=relay.port, password="hunter2", max_connections=1)
        with redis.Redis(connection_pool=pool) as client:
            svcready.health.add_redis(client)
            assert look("redis") == PASS
            with client.client() as holding:
                holding.ping()
                result = look("redis")

            assert look("redis") == PASS
            close("redis")

        assert result.status == "warn"
        assert result.output.startswith("pool exhausted")

    def test_is_one_check_of_one_server(self, client: redis.Redis) -> None:
        """A factory may add it again; another server under its name is a mistake."""
        svcready.health.add_redis(client)
        svcready.health.add_redis(client)
        with (
            redis.Redis(port=1) as other,
            pytest.raises(DeclarationError, match="'redis' is declared"),
        ):
            svcready.health.add_redis(other)


def test_a_stopped_server_fails() -> None:
    """A server whose process is stopped takes connections, but the check ends."""
    with redis_server() as made, redis.Redis(port=made.port) as client:
        svcready.health.add_redis(client)
        assert look("redis") == PASS
        made.process.send_signal(signal.SIGSTOP)
        assert look("redis").status == "fail"
        assert look("redis").status == "fail"  # on a new connection
        made.process.send_signal(signal.SIGCONT)
        assert look("redis") == PASS
        close("redis")


def test_warns_of_loading() -> None:
    """A server that loads its data is neither up nor down."""
    with redis_server("--enable-debug-command", "yes") as made:
        port = made.port
        with redis.Redis(port=port) as client:
            client.execute_command("DEBUG", "POPULATE", 2000)
            svcready.health.add_redis(client)
            client.config_set("loading-process-events-interval-bytes", 1024)
            client.config_set("key-load-delay", 2000)
            client.config_set("save", "3600 1")
            assert look("redis") == PASS
            with socket.create_connection(("127.0.0.1", port)) as operator:
                operator.sendall(b"DEBUG RELOAD\r\n")
                result = _other_than_pass()
                assert "loading" in result.output


class TestReplica:
    """Where the server is a replica."""

    @pytest.fixture
    def pair(self) -> Iterator[tuple[RedisServer, RedisServer]]:
        """Run a master and its replica."""
        with ExitStack() as stack:
            master = stack.enter_context(redis_server())
            replica = stack.enter_context(
                redis_server("--replicaof", f"127.0.0.1 {master.port}")
            )
            yield master, replica

    def test_warns_where_a_master_is_meant(
        self, pair: tuple[RedisServer, RedisServer]
    ) -> None:
        """A plain client of a replica cannot write: a warning."""
        with redis.Redis(port=pair[1].port) as client:
            svcready.health.add_redis(client)
            result = look("redis")

        assert result == CheckResult(
            "warn", "it is a read-only replica, where a master is meant"
        )

    def test_passes_where_it_is_meant(
        self, pair: tuple[RedisServer, RedisServer]
    ) -> None:
        """A replica passes when it is asked for, until it loses its master."""
        with redis.Redis(port=pair[1].port) as client:
            svcready.health.add_redis(client, name="redis.copy", replica=True)
            eventually(lambda: look("redis.copy") == PASS, "replication")
            pair[0].process.kill()
            result = _other_than_pass("redis.copy")
            close("redis.copy")

        assert result.status == "warn"
        assert "lost its master" in result.output

    def test_sentinel(self, pair: tuple[RedisServer, RedisServer]) -> None:
        """Clients made by a Sentinel are led to master and replica."""
        master, _ = pair
        with redis_server(sentinel_of=f"127.0.0.1 {master.port}") as made:
            sentinel = Sentinel([("127.0.0.1", made.port)], socket_timeout=1.0)  # type: ignore[no-untyped-call]
            master_client = sentinel.master_for("orders")  # type: ignore[no-untyped-call]
            copy_client = sentinel.slave_for("orders")  # type: ignore[no-untyped-call]
            svcready.health.add_redis(master_client)
            svcready.health.add_redis(copy_client, name="redis.copy")
            found = CHECKS.get("redis")
            assert found is not None
            assert found.function.target == "redis sentinel orders"  # type: ignore[attr-defined]
            assert look("redis") == PASS
            eventually(lambda: look("redis.copy") == PASS, "the Sentinel's discovery")
            os.kill(master.process.pid, signal.SIGSTOP)
            assert look("redis").status == "fail"
            close("redis")
            close("redis.copy")
            for known in sentinel.sentinels:
                known.close()

    def test_a_sentinel_that_hangs(self, pair: tuple[RedisServer, RedisServer]) -> None:
        """The next one is asked in time, however long the application would wait."""
        master, _ = pair
        with (
            redis_server(sentinel_of=f"127.0.0.1 {master.port}") as made,
            Relay(made.port) as hanging,
            Relay(made.port) as other,
        ):
            sentinel = Sentinel(  # type: ignore[no-untyped-call]
                [("127.0.0.1", hanging.port), ("127.0.0.1", other.port)]
            )
            client = sentinel.master_for("orders")  # type: ignore[no-untyped-call]
            svcready.health.add_redis(client)
            hanging.swallow()
            assert look("redis") == PASS
            close("redis")
            before = held()
            other.swallow()
            for _ in range(3):
                assert look("redis") == CheckResult(
                    "fail", "no Sentinel that answers knows the master"
                )

            eventually(lambda: held().files <= before.files, "no file is left")
            other.refuse()
            assert look("redis").status == "fail"
            hanging.through()
            assert look("redis") == PASS
            copy = sentinel.slave_for("orders")  # type: ignore[no-untyped-call]
            svcready.health.add_redis(copy, name="copy")
            eventually(lambda: look("copy") == PASS, "the replica")
            close("redis")
            close("copy")
            for known in sentinel.sentinels:
                known.close()


@contextmanager
def _cluster() -> Iterator[RedisServer]:
    bus = ["--cluster-port", str(free_port())]  # else the port and ten thousand
    with redis_server("--cluster-enabled", "yes", *bus) as made:
        with redis.Redis(port=made.port) as operator:
            operator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            eventually(
                lambda: operator.cluster("info").get("cluster_state") == "ok",
                "the cluster",
            )

        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServer]:
    """Run a cluster of one node."""
    with _cluster() as made:
        yield made


class TestCluster:
    """A client of a cluster."""

    def test_blocking(self, cluster: RedisServer) -> None:
        """The cluster's own state is told, from one node."""
        client = redis.RedisCluster(host="127.0.0.1", port=cluster.port)
        svcready.health.add_redis(client)
        assert [look("redis"), look("redis")] == [PASS, PASS]
        with redis.Redis(port=cluster.port) as operator:
            operator.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 1)
            result = _other_than_pass()
            operator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 1)
            eventually(lambda: look("redis") == PASS, "the state")

        assert result == CheckResult("fail", "the cluster's state is fail")
        close("redis")
        client.close()

    def test_asynchronous(self, cluster: RedisServer) -> None:
        """An asynchronous client is checked even before its first command."""

        async def run() -> None:
            client = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.port)
            svcready.health.add_redis(client)
            assert await look_async("redis") == PASS
            await client.initialize()
            assert await look_async("redis") == PASS
            close("redis")
            await getattr(client, "aclose", client.close)()  # of older versions

        asyncio.run(run())

    def test_blocking_hanging_and_down(self) -> None:
        """A node that hangs costs the check's time and no more; so does a dead one."""
        with _cluster() as made:
            client = redis.RedisCluster(host="127.0.0.1", port=made.port)
            svcready.health.add_redis(client)
            assert look("redis") == PASS
            before = held()
            made.process.send_signal(signal.SIGSTOP)
            assert [look("redis", 0.05).status for _ in range(5)] == ["fail"] * 5
            assert held().threads <= before.threads
            assert held().files <= before.files
            made.process.send_signal(signal.SIGCONT)
            assert look("redis") == PASS
            made.process.kill()
            made.process.wait(20)
            assert [look("redis").status for _ in range(3)] == ["fail"] * 3
            close("redis")
            client.close()

    def test_asynchronous_hanging_and_down(self) -> None:
        """The same on a loop."""

        async def run(made: RedisServer) -> None:
            client = redis.asyncio.RedisCluster(host="127.0.0.1", port=made.port)
            svcready.health.add_redis(client)
            await client.initialize()
            assert await look_async("redis") == PASS
            made.process.send_signal(signal.SIGSTOP)
            for _ in range(5):
                assert (await look_async("redis", 0.05)).status == "fail"

            made.process.send_signal(signal.SIGCONT)
            assert await look_async("redis") == PASS
            made.process.kill()
            made.process.wait(20)
            for _ in range(3):
                assert (await look_async("redis")).status == "fail"

            close("redis")
            await getattr(client, "aclose", client.close)()  # of older versions

        with _cluster() as made:
            asyncio.run(run(made))


class TestAsynchronous:
    """A client of `redis.asyncio`."""

    def test_up_down_and_hanging(self, relay: Relay) -> None:
        """It passes, fails when refused or swallowed in time, and recovers."""

        async def run() -> None:
            async with redis.asyncio.Redis(
                port=relay.port, password="hunter2", socket_timeout=None
            ) as client:
                svcready.health.add_redis(client)
                assert [await look_async("redis") for _ in range(20)] == [PASS] * 20
                assert relay.most_connections == 1
                before = held()
                relay.swallow()
                for _ in range(10):
                    assert (await look_async("redis", 0.05)).status == "fail"

                assert held().threads == before.threads
                assert held().files <= before.files
                assert len(asyncio.all_tasks()) == 1
                relay.refuse()
                assert "ConnectionError" in (await look_async("redis")).output
                relay.through()
                assert await look_async("redis") == PASS
                close("redis")
                await until(lambda: not relay.connections)

        asyncio.run(run())

    def test_every_loop_has_its_own(self, relay: Relay) -> None:
        """A check that moves to another loop leaves the first one's connection."""
        client = redis.asyncio.Redis(port=relay.port, password="hunter2")
        svcready.health.add_redis(client)

        async def run() -> None:
            assert await look_async("redis") == PASS
            close("redis")
            await until(lambda: not relay.connections)

        asyncio.run(run())
        asyncio.run(run())

    def test_warns_of_an_exhausted_pool(self, relay: Relay) -> None:
        """A pool without a free connection is a warning, and is not waited for."""

        async def run() -> None:
            pool = redis.asyncio.ConnectionPool(
                port=relay.port, password="hunter2", max_connections=1
            )
            client = redis.asyncio.Redis(connection_pool=pool)
            svcready.health.add_redis(client)
            async with client.client() as holding:
                await holding.ping()
                result = await look_async("redis")

            assert result.status == "warn"
            assert result.output.startswith("pool exhausted")
            assert await look_async("redis") == PASS
            close("redis")
            await pool.disconnect()
            await until(lambda: not relay.connections)

        asyncio.run(run())
