"""Checks by psycopg, and of psycopg_pool's pools."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from psycopg_pool import AsyncConnectionPool, ConnectionPool, NullConnectionPool

from svcready import health
from svcready.errors import DeclarationError
from svcready.health._check import CHECKS
from svcready.health.checks._adding import ReadyMade
from tests.health.checks.databases.support import (
    ALLOWED_S,
    IN_TIME_S,
    PASSWORD,
    Server,
    in_child,
    run,
    run_async,
    tasks,
    threads,
)
from tests.servers.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "psycopg.postgres"
POOL = "psycopg_pool.postgres"

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def target() -> str:
    """Return what the only check says that it looks at."""
    (check,) = CHECKS.things()
    assert isinstance(check.function, ReadyMade)
    return check.function.target


@pytest.fixture
def make(server: Server) -> Iterator[Callable[..., ConnectionPool]]:
    """Make open pools that have a check."""
    made = []

    def make_pool(
        kind: type[ConnectionPool] = ConnectionPool, **arguments: object
    ) -> ConnectionPool:
        pool = kind(server.url, open=True, **arguments)  # type: ignore[arg-type]
        made.append(pool)
        pool.wait()
        health.add_psycopg_pool(pool)
        return pool

    yield make_pool
    for pool in made:
        pool.close()


def test_a_connection_string(server: Server) -> None:
    """The check connects, asks and closes; refusal and silence are failures in time."""
    health.add_psycopg(server.url)

    assert run(NAME).status == "pass"
    server.settle(0)
    assert target() == f"postgresql://127.0.0.1:{server.relay.port}/postgres"
    server.relay.refuse()
    assert run(NAME).status == "fail"
    server.relay.swallow()
    for _ in range(3):
        ran = run(NAME)
        assert ran.status == "fail"
        assert ran.seconds < IN_TIME_S

    server.settle(0)
    assert threads() == set()
    server.relay.through()
    with server.stopped():
        ran = run(NAME)

    assert (ran.status, ran.seconds < IN_TIME_S) == ("fail", True)


def test_all_addresses_together_take_no_longer(server: Server) -> None:
    """A host of two addresses, both hanging, has the time-out once, not twice."""
    port = server.relay.port
    server.relay.swallow()
    hosts = f"host=127.0.0.1,127.0.0.1,127.0.0.1 port={port},{port},{port}"
    health.add_psycopg(f"{hosts} dbname=postgres user=orders")

    runs = [run(NAME) for _ in range(3)]

    assert {ran.status for ran in runs} == {"fail"}
    assert min(ran.seconds for ran in runs) < 1.5 * ALLOWED_S


def test_the_time_is_kept_after_an_instrumentation_has_ended(server: Server) -> None:
    """OpenTelemetry's leaves `connect` bound to psycopg's own class, for good."""
    instrumentor = PsycopgInstrumentor()
    before = vars(psycopg.Connection)["connect"]
    instrumentor.instrument()
    instrumentor.uninstrument()
    try:
        server.relay.swallow()
        health.add_psycopg(server.url)

        assert run(NAME).seconds < IN_TIME_S
    finally:
        psycopg.Connection.connect = before  # type: ignore[method-assign]


def test_what_is_no_connection_string(server: Server) -> None:
    """It is refused where it is declared, without being quoted."""
    with pytest.raises(DeclarationError) as caught:
        health.add_psycopg(f"pass={PASSWORD} wrong")

    assert PASSWORD not in str(caught.value)


def test_a_function_that_connects(server: Server) -> None:
    """Its connection is asked and closed; a hung one is cut off."""
    made: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection[object]:
        made.append(psycopg.connect(server.url))
        return made[-1]

    health.add_psycopg(connect, name="db")
    assert run("db").status == "pass"
    assert made[0].closed


def test_a_function_whose_connection_hangs(server: Server) -> None:
    """The run ends in time, and the connection is closed."""
    made: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection[object]:
        made.append(psycopg.connect(server.url))
        server.relay.swallow()
        return made[-1]

    health.add_psycopg(connect, name="db")
    ran = run("db")
    assert (ran.status, ran.seconds < IN_TIME_S) == ("fail", True)
    assert made[0].closed


def test_an_asynchronous_function_that_connects(server: Server) -> None:
    """The runner is given what to await, and it ends in time."""

    async def connect() -> psycopg.AsyncConnection[object]:
        return await psycopg.AsyncConnection.connect(server.url)

    async def main() -> None:
        health.add_psycopg(connect, name="db")
        assert (await run_async("db")).status == "pass"
        server.relay.swallow()
        ran = await run_async("db")
        assert (ran.status, ran.seconds < IN_TIME_S) == ("fail", True)
        assert tasks() == 0

    asyncio.run(main())
    server.settle(0)


@pytest.mark.parametrize("check", [None, ConnectionPool.check_connection])
def test_a_pool(
    server: Server, make: Callable[..., ConnectionPool], check: object
) -> None:
    """What lies ready is asked and given back; a hung one is closed and replaced."""
    pool = make(min_size=2, max_size=2, check=check)
    for _ in range(30):
        assert run(POOL).status == "pass"

    assert server.relay.most_connections == 2
    assert pool.get_stats()["pool_available"] == 2
    server.relay.swallow()
    for _ in range(4):
        ran = run(POOL)
        assert ran.status == "fail"
        assert ran.seconds < IN_TIME_S

    assert threads() == set()
    server.relay.through()
    assert run(POOL).status in {"pass", "warn"}
    with pool.connection(10) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_pool_of_a_server_that_refuses(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """It fails at once."""
    make(min_size=1, max_size=1)
    server.relay.refuse()
    for _ in range(5):
        ran = run(POOL)
        assert ran.status == "fail"
        assert ran.seconds < ALLOWED_S / 2


def test_a_full_pool_is_told_apart(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """With nothing left to lend the check warns at once, and waits in no queue."""
    pool = make(min_size=1, max_size=1)
    with pool.connection():
        for _ in range(3):
            ran = run(POOL)
            assert ran.status == "warn"
            assert ran.result.output == (
                "pool exhausted: 1 of 1 connections are in use; the database answers"
            )
            assert ran.seconds < ALLOWED_S / 2

        assert pool.get_stats().get("requests_queued", 0) == 0
        assert pool.get_stats().get("requests_num", 0) == 1

    assert run(POOL).status == "pass"


def test_a_pool_that_keeps_nothing(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """The check connects by itself."""
    make(NullConnectionPool, max_size=2)

    assert run(POOL).status == "pass"


def test_a_child_leaves_its_parents_connections_alone(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """It asks on a connection of its own, and takes no lock that a thread had."""
    pool = make(min_size=1)
    with pool.connection() as connection:
        pid = connection.info.backend_pid

    before = server.spoken(pid)
    pool._lock.acquire()  # as a worker of the pool may, when somebody forks
    assert in_child(lambda: run(POOL).status == "pass")
    pool._lock.release()
    assert server.spoken(pid) == before
    with pool.connection() as connection:
        assert connection.info.backend_pid == pid


def test_a_pool_that_is_closed(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """The database is asked all the same."""
    make().close()

    assert run(POOL).status == "pass"


def test_no_password_is_told(server: Server) -> None:
    """It is neither in the target nor in an error that quotes it."""

    class Quoting(psycopg.Connection[object]):
        @classmethod
        def connect(cls, *args: object, **kwargs: object) -> Quoting:
            raise psycopg.OperationalError(f"cannot use {args}")

    pool = ConnectionPool(server.url, connection_class=Quoting, open=False)
    health.add_psycopg_pool(pool)

    assert PASSWORD not in target()
    ran = run(POOL)
    assert ran.status == "fail"
    assert "cannot use" in ran.result.output
    assert PASSWORD not in ran.result.output


def test_an_asynchronous_pool(server: Server) -> None:
    """The same on a loop: given back, cut off when hung, told apart when full."""

    async def main() -> None:
        async with AsyncConnectionPool(
            server.url, min_size=1, max_size=1, open=False
        ) as pool:
            await pool.wait()
            health.add_psycopg_pool(pool)
            for _ in range(10):
                assert (await run_async(POOL)).status == "pass"

            assert server.relay.most_connections == 1
            async with pool.connection():
                ran = await run_async(POOL)
                assert ran.status == "warn"
                assert ran.result.output.startswith("pool exhausted: 1 of 1")

            before = tasks()
            server.relay.swallow()
            for _ in range(3):
                ran = await run_async(POOL)
                assert ran.status == "fail"
                assert ran.seconds < IN_TIME_S

            assert tasks() <= before + 1  # the pool's own
            server.relay.through()
            async with pool.connection(10) as connection:
                await connection.execute("SELECT 1")

            server.relay.refuse()
            assert (await run_async(POOL)).status == "fail"

    asyncio.run(main())


def test_what_an_asynchronous_pool_connects_with_may_be_awaited(
    server: Server,
) -> None:
    """Functions for the connection string and the arguments are asked each time."""

    async def conninfo() -> str:
        return server.url

    async def main() -> None:
        pool = AsyncConnectionPool(conninfo, open=False)
        health.add_psycopg_pool(pool, name="db")
        assert (await run_async("db")).status == "pass"

    asyncio.run(main())


def test_a_pool_is_not_drained_by_many_runs(
    server: Server, make: Callable[..., ConnectionPool]
) -> None:
    """After a thousand runs there is one connection, which lies ready."""
    pool = make(min_size=1, max_size=1)
    for _ in range(1000):
        assert run(POOL).status == "pass"

    assert pool.get_stats()["pool_available"] == 1
    eventually(lambda: server.relay.connections == 1, "one connection")
    assert server.relay.most_connections == 1
    assert threads() == set()
