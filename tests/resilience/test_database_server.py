"""Deadlocks, conflicts and broken connections of a real PostgreSQL, and their retry."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2  # type: ignore[import-untyped]
import psycopg_pool
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from svcready.resilience import database, get_breaker, policy
from tests.resilience.peers import breaker_of, judged, retrier_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


@pytest.fixture
def url(postgres_server: str) -> Iterator[str]:
    """A server with two accounts of a hundred each."""
    made = f"postgresql://{postgres_server}"
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("CREATE TABLE account (id int PRIMARY KEY, balance int)")
        connection.execute("INSERT INTO account VALUES (1, 100), (2, 100)")
        yield made
        connection.execute("DROP TABLE account")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """SQLAlchemy's engine for it."""
    made = create_engine(url.replace("://", "+psycopg://"))
    yield made
    made.dispose()


def balances(url: str) -> list[int]:
    """Return what is on the accounts."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT balance FROM account ORDER BY id").fetchall()

    return [balance for (balance,) in rows]


def together(*calls: Callable[[], object]) -> list[BaseException | None]:
    """Run calls on a thread each, and return what they raised."""
    raised: list[BaseException | None] = [None] * len(calls)

    def run(place: int) -> None:
        try:
            calls[place]()
        except Exception as error:  # noqa: BLE001 - is what the test looks at
            raised[place] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join(30)

    return raised


def move(session: Any, source: int, target: int, meet: Callable[[], object]) -> None:
    """Book one from an account to another; between the two, meet somebody."""
    update = "UPDATE account SET balance = balance + :n WHERE id = :id"
    session.execute(text(update), {"n": -1, "id": source})
    meet()
    session.execute(text(update), {"n": 1, "id": target})


class Meeting:
    """Two who wait for each other, the first time only."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=20)
        self._local = threading.local()
        self.visits = 0

    def __call__(self) -> None:
        """Wait for the other."""
        self.visits += 1
        if not getattr(self._local, "met", False):
            self._local.met = True
            self._barrier.wait()


def test_a_deadlock_is_resolved_by_the_whole_transaction(
    url: str, engine: Engine
) -> None:
    """Two transfers that deadlock both come about, and no money is made or lost."""
    guarded = policy("orders-db", preset="database")
    meet = Meeting()

    @guarded
    def transfer(source: int, target: int) -> None:
        with Session(engine) as session, session.begin():
            move(session, source, target, meet)

    assert together(lambda: transfer(1, 2), lambda: transfer(2, 1)) == [None, None]
    assert meet.visits >= 3  # they may meet in a deadlock once more
    assert balances(url) == [100, 100]
    assert retrier_of("orders-db").counts()["recovered"] >= 1
    assert "failure" not in breaker_of("orders-db").counts()


def test_an_open_transaction_is_not_run_again(url: str, engine: Engine) -> None:
    """Where the deadlock's transaction began outside, the error goes out at once."""
    guarded = policy("orders-db", preset="database")
    meet = Meeting()

    def transfer(source: int, target: int) -> None:
        with Session(engine) as session, session.begin():
            guarded.call(move, session, source, target, meet)

    raised = together(lambda: transfer(1, 2), lambda: transfer(2, 1))
    (error,) = [each for each in raised if each is not None]
    assert isinstance(error, OperationalError)
    assert isinstance(error.orig, psycopg.errors.DeadlockDetected)
    assert meet.visits == 2
    assert balances(url) in ([99, 101], [101, 99])
    counts = retrier_of("orders-db").counts()
    assert counts["not_retryable"] == 1
    assert "recovered" not in counts


def conflict(url: str, between: Callable[[], object]) -> Callable[[], None]:
    """Return a serializable transaction of psycopg's, with something between."""

    def book() -> None:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            connection.execute("SELECT sum(balance) FROM account").fetchone()
            between()
            connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")

    return book


def test_a_serialization_failure_is_retried(url: str) -> None:
    """A snapshot that somebody else has written under is taken again."""
    others = [True]

    def between() -> None:
        if others.pop() if others else False:
            with psycopg.connect(url) as other:
                other.execute("UPDATE account SET balance = 50 WHERE id = 1")

    policy("orders-db", preset="database").call(conflict(url, between))
    assert balances(url) == [51, 100]
    assert retrier_of("orders-db").counts()["recovered"] == 1


def test_psycopg_in_an_open_transaction(url: str) -> None:
    """Psycopg's connection is asked, as long as it is whole."""
    with psycopg.connect(url) as blocker, psycopg.connect(url) as connection:
        blocker.execute("SELECT 1 FROM account WHERE id = 1 FOR UPDATE")
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            connection.execute("SELECT 1 FROM account WHERE id = 1 FOR UPDATE NOWAIT")

        assert database.in_transaction(connection)
        assert not database.transient(caught.value)
        connection.rollback()
        assert not database.in_transaction(connection)
        assert database.transient(caught.value)


def test_psycopg_in_a_pools_transaction(url: str) -> None:
    """A pooled connection whose block has ended is no hindrance, an open one is."""
    with (
        psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool,
        psycopg.connect(url) as blocker,
    ):
        blocker.execute("SELECT 1 FROM account WHERE id = 1 FOR UPDATE")
        statement = "SELECT 1 FROM account WHERE id = 1 FOR UPDATE NOWAIT"
        with (
            pytest.raises(psycopg.errors.LockNotAvailable) as ended,
            pool.connection() as connection,
        ):
            connection.execute(statement)

        assert database.transient(ended.value)
        with pool.connection() as connection:
            with pytest.raises(psycopg.errors.LockNotAvailable) as running:
                connection.execute(statement)

            assert not database.transient(running.value)
            connection.rollback()


def test_psycopg2_in_an_open_transaction(url: str) -> None:
    """psycopg2's error knows its connection."""
    connection = psycopg2.connect(url)
    try:
        with psycopg.connect(url) as blocker, connection.cursor() as cursor:
            blocker.execute("SELECT 1 FROM account WHERE id = 1 FOR UPDATE")
            with pytest.raises(psycopg2.errors.LockNotAvailable) as caught:
                cursor.execute("SELECT 1 FROM account WHERE id = 1 FOR UPDATE NOWAIT")

            assert database.in_transaction(connection)
            assert not database.transient(caught.value)
            connection.rollback()
            assert database.transient(caught.value)
    finally:
        connection.close()


def kill_all(url: str) -> None:
    """End every other connection, as an administrator does."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " AND application_name = 'orders'"
        )


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_killed_connection_is_replaced(url: str, driver: str) -> None:
    """The transaction runs again on another connection, and counts as one failure."""
    engine = create_engine(
        url.replace("://", f"+{driver}://"),
        connect_args={"application_name": "orders"},
    )
    kills = [True]

    def book() -> None:
        with Session(engine) as session, session.begin():
            session.execute(text("UPDATE account SET balance = 7 WHERE id = 1"))
            if kills:
                kills.pop()
                kill_all(url)

            session.execute(text("UPDATE account SET balance = 8 WHERE id = 2"))

    policy("orders-db", preset="database").call(book)
    engine.dispose()
    assert balances(url) == [7, 8]
    assert retrier_of("orders-db").counts()["recovered"] == 1
    assert breaker_of("orders-db").counts()["failure"] == 1


def test_a_killed_connection_of_others_is_not_replaced(url: str) -> None:
    """Where what broke is the caller's connection, the error goes out as it is."""
    engine = create_engine(
        url.replace("://", "+psycopg://"), connect_args={"application_name": "orders"}
    )
    calls = []

    def book(connection: Any) -> None:
        calls.append(1)
        connection.execute(text("UPDATE account SET balance = 7 WHERE id = 1"))

    with engine.connect() as connection:
        book(connection)
        kill_all(url)
        with pytest.raises(OperationalError) as caught:
            policy("orders-db", preset="database").call(book, connection)

    engine.dispose()
    assert caught.value.connection_invalidated
    assert len(calls) == 2
    assert balances(url) == [100, 100]


def test_broken_constraints_keep_the_breaker_closed(url: str, engine: Engine) -> None:
    """Fifty inserts that the database refuses are fifty answers, each asked once."""
    guarded = policy("orders-db", preset="database")
    calls = []

    @guarded
    def insert() -> None:
        calls.append(1)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO account VALUES (1, 1)"))

    for _ in range(50):
        with pytest.raises(IntegrityError):
            insert()

    assert len(calls) == 50
    assert get_breaker("orders-db").state == "closed"
    assert breaker_of("orders-db").counts()["success"] == 50


async def sessions(url: str) -> None:
    """Fail in a session, and ask while it is open and when it is closed."""
    for driver in ("asyncpg", "psycopg"):
        engine = create_async_engine(url.replace("://", f"+{driver}://"))
        async with AsyncSession(engine) as blocker:
            await blocker.execute(text("SELECT 1 FROM account WHERE id = 1 FOR UPDATE"))
            statement = text("SELECT 1 FROM account WHERE id = 1 FOR UPDATE NOWAIT")
            async with AsyncSession(engine) as session:
                with pytest.raises(Exception, match="could not obtain lock") as caught:
                    await session.execute(statement)

                assert database.in_transaction(session)
                assert not database.transient(caught.value)

            assert not database.in_transaction(session)
            assert database.transient(caught.value)
            assert judged(database, caught.value) == "success"

        await engine.dispose()


def test_async_sessions(url: str) -> None:
    """Async SQLAlchemy's session is asked through its greenlet."""
    asyncio.run(sessions(url))


async def lent_connections(url: str) -> None:
    """Fail on a connection of a pool's, and ask while it is lent and afterwards."""
    statement = "SELECT 1 FROM account WHERE id = 1 FOR UPDATE"
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=2) as pool,
        pool.acquire() as blocker,
        blocker.transaction(),
    ):
        await blocker.execute(statement)
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            with pytest.raises(asyncpg.LockNotAvailableError) as caught:
                await connection.execute(f"{statement} NOWAIT")

            assert not database.transient(caught.value)
            await transaction.rollback()

        assert database.transient(caught.value)


def test_asyncpgs_own_pool(url: str) -> None:
    """A connection that went back to asyncpg's pool is no hindrance."""
    asyncio.run(lent_connections(url))


async def prepared(url: str) -> None:
    """Fail in a prepared statement, and ask before and after the transaction's end."""
    statement = "SELECT 1 FROM account WHERE id = 1 FOR UPDATE"
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=2) as pool,
        pool.acquire() as blocker,
        blocker.transaction(),
    ):
        await blocker.execute(statement)
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            lock = await connection.prepare(f"{statement} NOWAIT")
            with pytest.raises(asyncpg.LockNotAvailableError) as caught:
                await lock.fetch()

            assert not database.transient(caught.value)
            await transaction.rollback()
            assert database.transient(caught.value)

        async with pool.acquire() as connection, connection.transaction():
            assert database.transient(caught.value)  # it is another's by now


def test_asyncpgs_prepared_statements(url: str) -> None:
    """A prepared statement leads to the connection it was lent with."""
    asyncio.run(prepared(url))


async def transfers(url: str) -> None:
    """Book from one account to the other and back at the same time."""
    engine = create_async_engine(url.replace("://", "+asyncpg://"))
    guarded = policy("orders-db", preset="database")
    both = asyncio.Barrier(2)
    met = []

    @guarded
    async def transfer(source: int, target: int) -> None:
        update = text("UPDATE account SET balance = balance + :n WHERE id = :id")
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(update, {"n": -1, "id": source})
            met.append(source)
            if len(met) <= 2:
                await both.wait()

            await session.execute(update, {"n": 1, "id": target})

    await asyncio.gather(transfer(1, 2), transfer(2, 1))
    await engine.dispose()
    assert balances(url) == [100, 100]
    assert retrier_of("orders-db").counts()["recovered"] >= 1


def test_a_deadlock_between_tasks(url: str) -> None:
    """Two tasks' transfers that deadlock both come about."""
    asyncio.run(transfers(url))


def test_a_pool_of_psycopgs_that_is_full_or_cut_off(url: str) -> None:
    """No free connection is nobody's failure, connections that can't open are."""
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool:
        with pool.connection(), pytest.raises(psycopg_pool.PoolTimeout) as full:
            pool.getconn(timeout=0.05)

        assert judged(database, full.value) == "inconclusive"
        assert not database.transient(full.value)

    nowhere = url.replace("orders@", "orders@nowhere.invalid,")
    with (
        psycopg_pool.ConnectionPool(
            nowhere, min_size=1, kwargs={"host": "127.0.0.1", "port": 1}, open=False
        ) as pool,
        pytest.raises(psycopg_pool.PoolTimeout) as cut_off,
    ):
        pool.getconn(timeout=1.0)

    assert judged(database, cut_off.value) == "failure"
