"""Metrics of psycopg's pools, against PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from svcready.metrics import instrument_engine, instrument_pool
from tests.metrics.clients.support import Page
from tests.servers.harness import eventually
from tests.servers.postgres import postgres

psycopg_pool = pytest.importorskip("psycopg_pool")
sqlalchemy = pytest.importorskip("sqlalchemy")

from psycopg_pool import (  # noqa: E402
    AsyncConnectionPool,
    ConnectionPool,
    NullConnectionPool,
    PoolTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection
    from sqlalchemy import Engine

    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock

COUNT = "db.client.connection.count"
WAIT = "db.client.connection.wait_time"
USE = "db.client.connection.use_time"


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """Run PostgreSQL."""
    with postgres() as where:
        yield where


@pytest.fixture
def pool(where: str) -> Iterator[ConnectionPool[Connection]]:
    """Open a pool of one to two connections."""
    with ConnectionPool(
        f"postgresql://{where}", min_size=1, max_size=2, name="orders"
    ) as pool:
        pool.wait()
        yield pool


def test_a_pools_levels_are_read(pool: ConnectionPool[Connection], page: Page) -> None:
    """In use, idle and the limit are what the pool says at the snapshot."""
    instrument_pool(pool)

    def level(state: str) -> float:
        return page.value(COUNT, db_client_connection_state=state)

    assert (level("used"), level("idle")) == (0, 1)
    with pool.connection():
        assert (level("used"), level("idle")) == (1, 0)

    assert (level("used"), level("idle")) == (0, 1)
    assert page.value("db.client.connection.max") == 2
    assert page.labels(COUNT)[0]["db_client_connection_pool_name"] == "orders"


def test_waits_and_use_are_measured(
    pool: ConnectionPool[Connection], page: Page, clock: FakeClock
) -> None:
    """Who waits is pending; then the wait and the time in use are recorded."""
    instrument_pool(pool, name="mine")
    held = [pool.getconn(), pool.getconn()]
    got = []
    waiter = threading.Thread(target=lambda: got.append(pool.getconn()))
    waiter.start()
    eventually(
        lambda: page.value("db.client.connection.pending_requests") == 1, "a waiter"
    )
    clock.advance(4)
    pool.putconn(held.pop())
    waiter.join()
    pool.putconn(held.pop())
    pool.putconn(got.pop())

    assert page.count(WAIT, db_client_connection_pool_name="mine") == 3
    assert page.total(WAIT) == pytest.approx(4)
    assert page.count(USE) == 3
    assert page.total(USE) == pytest.approx(8)


def test_a_wait_that_is_given_up_is_counted(
    pool: ConnectionPool[Connection], page: Page
) -> None:
    """The pool's timeout raises as ever, and counts."""
    instrument_pool(pool)
    with pool.connection(), pool.connection(), pytest.raises(PoolTimeout):
        pool.getconn(timeout=0.01)

    assert page.value("db.client.connection.timeouts") == 1
    assert page.count(WAIT) == 2


def test_connections_that_cannot_be_made_are_counted(page: Page) -> None:
    """What the pool counts itself is added up, and not again at the next reading."""
    with ConnectionPool(
        "postgresql://nobody@127.0.0.1:1/x", min_size=1, open=False
    ) as pool:
        instrument_pool(pool)
        eventually(lambda: pool.get_stats().get("connections_errors"), "an error")

    refused = pool.get_stats()["connections_errors"]
    for _ in range(3):  # counters are read before the levels of the same snapshot
        seen = page.value("db.client.connection.errors", reason="connect")

    assert seen == refused


def test_a_pool_is_instrumented_once_and_taken_back(
    pool: ConnectionPool[Connection], page: Page
) -> None:
    """Twice counts once; after the undo the pool is as it was."""
    before = set(vars(pool))
    undo = instrument_pool(pool)
    assert instrument_pool(pool) is undo
    pool.putconn(pool.getconn())
    assert page.count(WAIT) == 1
    undo()
    undo()
    pool.putconn(pool.getconn())

    assert set(vars(pool)) == before
    assert page.count(WAIT) == 1
    assert page.value(COUNT) == 0


def test_a_pool_that_is_gone_counts_no_more(where: str, page: Page) -> None:
    """The metrics keep no pool alive."""
    pool = ConnectionPool(f"postgresql://{where}", min_size=1, max_size=7, open=True)
    pool.wait()
    instrument_pool(pool)
    assert page.value("db.client.connection.max") == 7
    pool.close()
    del pool
    gc.collect()

    assert page.value("db.client.connection.max") == 0


def test_a_pool_of_which_a_method_is_kept_stays(where: str, page: Page) -> None:
    """SQLAlchemy on `creator=pool.getconn` needs no other name of the pool."""

    def make_engine() -> Engine:
        pool = ConnectionPool(f"postgresql://{where}", min_size=1, open=True)
        instrument_pool(pool)
        pools.append(weakref.ref(pool))
        made: Engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=pool.getconn,
            poolclass=sqlalchemy.NullPool,
        )
        return made

    pools: list[weakref.ref[ConnectionPool[Connection]]] = []
    engine = make_engine()
    gc.collect()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 7").scalar() == 7

    assert page.count(WAIT) == 1
    pool = pools[0]()
    assert pool is not None
    pool.close()


def test_async_pools_are_measured_the_same(where: str, page: Page) -> None:
    """Waits, use and levels of an async pool."""

    async def drive() -> None:
        async with AsyncConnectionPool(
            f"postgresql://{where}", min_size=1, max_size=1, open=False
        ) as pool:
            undo = instrument_pool(pool)

            async def select() -> None:
                async with pool.connection() as connection:
                    await connection.execute("SELECT 1")

            await asyncio.gather(select(), select())
            async with pool.connection(), asyncio.timeout(30):
                assert page.value(COUNT, db_client_connection_state="used") == 1
                with pytest.raises(PoolTimeout):
                    await pool.getconn(timeout=0.01)

            undo()

    asyncio.run(drive())

    assert page.count(WAIT) == 3
    assert page.count(USE) == 3
    assert page.value("db.client.connection.timeouts") == 1


def test_by_name_every_pool_is_measured(
    pool: ConnectionPool[Connection],
    where: str,
    make_pillar: Callable[..., MetricsPillar],
) -> None:
    """Pools made before and after, null pools too, until the pillar ends."""
    pillar = make_pillar(instrument=("psycopg_pool",))
    page = Page(pillar)
    with NullConnectionPool(f"postgresql://{where}", open=False, max_size=3) as late:
        instrument_pool(late)
        for each in (pool, late):
            with each.connection() as connection:
                connection.execute("SELECT 1")

        assert pillar.problems == ()
        assert page.count(WAIT) == 2
        pillar.close()
        pool.putconn(pool.getconn())
        assert page.count(WAIT) == 2


def test_an_engine_on_postgresql_is_named_without_its_user(
    where: str, page: Page
) -> None:
    """SQLAlchemy's engine has the server and the database as labels."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(
        f"postgresql+psycopg://{where}", connect_args={"password": "hunter2"}
    )
    instrument_engine(engine)
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.ProgrammingError):
        connection.execute(sqlalchemy.text("SELECT * FROM missing"))

    engine.dispose()
    found = [
        own
        for own in page.labels("db.client.operation.duration")
        if own["error_type"] == "UndefinedTable"
    ]
    (own,) = found
    assert own["db_system_name"] == "postgresql"
    assert own["db_namespace"] == "postgres"
    assert own["server_address"] == "127.0.0.1"
    assert page.labels("db.client.connection.max")[0] == {
        "db_client_connection_pool_name": where.partition("@")[2]
    }
    assert "hunter2" not in page.text()
    assert "orders@" not in page.text()
