"""Statements of a real PostgreSQL that end when the deadline does."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from svcready.resilience import database, get_breaker, policy, retry
from svcready.resilience._database._hints import hinted
from svcready.resilience._database._limits import Limit
from svcready.resilience._timing import _deadline
from tests.resilience.peers import breaker_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SHOW = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)"
SLEEP = "SELECT pg_sleep(20)"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Put a deadline in force."""
    token = _deadline.put(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.lift(token)


@pytest.fixture
def url(postgres_server: str) -> str:
    """Where the server is."""
    return f"postgresql://{postgres_server}"


@pytest.fixture(params=["psycopg", "psycopg2"])
def engine(url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A bound engine of each driver."""
    made = create_engine(url.replace("://", f"+{request.param}://"))
    database.bound_statements(made)
    yield made
    made.dispose()


def limit_s(session: Any) -> float:
    """Return what limits the statements of a session, 0: nothing."""
    return float(session.execute(text(SHOW)).scalar_one())


def test_the_deadline_cancels_the_statement(engine: Engine) -> None:
    """The server itself ends a query of 20 s when the call's 0.3 s are over."""
    bounded = retry("orders-db", on=database.transient, deadline="300ms")

    def sleep() -> None:
        with engine.begin() as connection:
            connection.execute(text(SLEEP))

    started_s = time.monotonic()
    with pytest.raises(OperationalError, match="statement timeout"):
        bounded.call(sleep)

    assert time.monotonic() - started_s < 5.0


def test_a_cut_off_statement_is_not_held_against_it(engine: Engine) -> None:
    """A breaker takes no short deadline of a caller's for a failure."""
    guarded = policy("orders-db", preset="database")

    def sleep() -> None:
        with engine.begin() as connection:
            connection.execute(text(SLEEP))

    with within(0.1), pytest.raises(OperationalError, match="statement timeout"):
        guarded.call(sleep)

    assert get_breaker("orders-db").state == "closed"
    assert "failure" not in breaker_of("orders-db").counts()


def test_the_limit_ends_with_the_transaction(engine: Engine) -> None:
    """The same connection without a deadline has none, in and after it."""
    with Session(engine) as session:
        with within(5.0):
            assert 0.0 < limit_s(session) <= 5.0

        assert limit_s(session) == 0.0  # the deadline is over, the transaction not
        with within(5.0):
            assert 0.0 < limit_s(session) <= 5.0

        session.commit()
        assert limit_s(session) == 0.0


def test_a_shorter_limit_of_the_databases_stays(url: str) -> None:
    """The deadline only ever makes the time shorter, and gives back what was there."""
    engine = create_engine(
        url.replace("://", "+psycopg://"),
        connect_args={"options": "-c statement_timeout=2s"},
    )
    database.bound_statements(engine)
    with Session(engine) as session:
        with within(60.0):
            assert limit_s(session) == 2.0

        with within(1.0):
            assert limit_s(session) <= 1.0

        assert limit_s(session) == 2.0

    engine.dispose()


def test_a_rollback_to_a_savepoint_loses_nothing(engine: Engine) -> None:
    """What a savepoint's rollback takes back is set anew, and still given back."""
    with Session(engine) as session, session.begin():
        nested = session.begin_nested()
        with within(5.0):
            assert 0.0 < limit_s(session) <= 5.0
            nested.rollback()
            assert 0.0 < limit_s(session) <= 5.0

        assert limit_s(session) == 0.0


def test_it_is_asked_for_once(url: str) -> None:
    """A transaction of ten statements sets its limit once, and none without need."""
    engine = create_engine(url.replace("://", "+psycopg://"))
    undo = database.bound_statements(engine)
    database.bound_statements(engine)
    with engine.connect() as connection:
        sent = 0
        raw = connection.connection.dbapi_connection
        assert raw is not None
        cursor_of = raw.cursor

        def counted(*args: object, **kwargs: object) -> Any:
            nonlocal sent
            sent += 1
            return cursor_of(*args, **kwargs)

        raw.cursor = counted  # type: ignore[method-assign]
        for _ in range(10):
            connection.execute(text("SELECT 1"))

        assert sent == 10
        with within(60.0):
            for _ in range(10):
                connection.execute(text("SELECT 1"))

        assert sent == 21
        undo()
        with within(0.1):
            assert float(connection.execute(text(SHOW)).scalar_one()) > 1.0

    engine.dispose()


def test_a_spent_deadline_is_a_millisecond(engine: Engine) -> None:
    """Nothing is left: the statement ends at once, and is not without a limit."""
    with (
        Session(engine) as session,
        within(-1.0),
        pytest.raises(OperationalError, match="statement timeout"),
    ):
        session.execute(text(SLEEP))


def test_autocommit_is_left_alone(engine: Engine) -> None:
    """What would stay behind in the pool is not set."""
    plain = engine.execution_options(isolation_level="AUTOCOMMIT")
    with plain.connect() as connection, within(5.0):
        assert float(connection.execute(text(SHOW)).scalar_one()) == 0.0


def test_a_failed_transaction_tells_its_own_error(engine: Engine) -> None:
    """The application meets the error that it would without a limit."""
    with engine.connect() as connection, within(5.0):
        with pytest.raises(DBAPIError, match="nowhere"):
            connection.execute(text("SELECT * FROM nowhere"))

        with pytest.raises(DBAPIError, match="current transaction is aborted"):
            connection.execute(text("SELECT 1"))


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_async_engines(url: str, driver: str) -> None:
    """An async session's query ends with its deadline, on both drivers."""

    async def run() -> None:
        engine = create_async_engine(url.replace("://", f"+{driver}://"))
        database.bound_statements(engine)
        async with AsyncSession(engine) as session:
            with within(0.2), pytest.raises(DBAPIError, match="statement timeout"):
                await session.execute(text(SLEEP))

            await session.rollback()
            assert (await session.execute(text(SHOW))).scalar_one() == 0

        await engine.dispose()

    asyncio.run(run())


def test_a_single_transaction(url: str) -> None:
    """One's own connection is limited until its transaction ends, by every client."""
    engine = create_engine(url.replace("://", "+psycopg://"))
    with Session(engine) as session, within(5.0):
        database.statement_timeout(session)
        assert 0.0 < limit_s(session) <= 5.0
        session.commit()
        assert limit_s(session) == 0.0

    engine.dispose()
    opened: tuple[Any, ...] = (psycopg.connect(url), psycopg2.connect(url))
    for connection in opened:
        with within(5.0):
            database.statement_timeout(connection)

        cursor = connection.cursor()
        cursor.execute(SHOW)
        assert 0.0 < float(cursor.fetchone()[0]) <= 5.0
        connection.commit()
        cursor.execute(SHOW)
        assert float(cursor.fetchone()[0]) == 0.0
        connection.commit()
        with within(0.1):
            database.statement_timeout(connection)

        with pytest.raises(
            (psycopg.errors.QueryCanceled, psycopg2.errors.QueryCanceled)
        ):
            cursor.execute(SLEEP)

        connection.close()


def test_a_single_async_transaction(url: str) -> None:
    """The same on async connections."""

    async def run() -> None:
        engine = create_async_engine(url.replace("://", "+asyncpg://"))
        async with AsyncSession(engine) as session:
            with within(5.0):
                await database.statement_timeout_async(session)

            limited = (await session.execute(text(SHOW))).scalar_one()
            assert 0.0 < limited <= 5.0

        await engine.dispose()
        plain = await psycopg.AsyncConnection.connect(url)
        with within(0.1):
            await database.statement_timeout_async(plain)

        with pytest.raises(psycopg.errors.QueryCanceled):
            await plain.execute(SLEEP)

        await plain.close()
        other = await asyncpg.connect(url)
        async with other.transaction():
            with within(5.0):
                await database.statement_timeout_async(other)

            assert 0.0 < await other.fetchval(SHOW) <= 5.0

        assert await other.fetchval(SHOW) == 0.0
        await other.close()

    asyncio.run(run())


def test_what_is_no_connection_is_refused() -> None:
    """A mistake in the code is told, and not passed over."""
    with pytest.raises(TypeError, match="no engine"):
        database.bound_statements(object())

    with pytest.raises(TypeError, match="no connection"):
        database.statement_timeout(object())

    with pytest.raises(TypeError, match="no connection"):
        asyncio.run(database.statement_timeout_async(object()))

    with pytest.raises(TypeError, match="no connection"):
        database.in_transaction(object())


def test_without_a_deadline_nothing_is_sent(url: str) -> None:
    """No round trip is made where there is nothing to keep to."""
    engine = create_engine(url.replace("://", "+psycopg://"))
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args))
    with psycopg.connect(url) as connection:
        database.statement_timeout(connection)
        assert connection.info.transaction_status == 0

    with engine.connect() as made:
        database.statement_timeout(made)

    engine.dispose()
    assert not statements


@given(
    calls=st.lists(
        st.tuples(st.one_of(st.just(math.inf), st.floats(-1.0, 3600.0)), st.booleans()),
        min_size=1,
        max_size=20,
    ),
    own=st.sampled_from([(0, "0"), (1, "1ms"), (250, "250ms"), (60_000, "1min")]),
)
def test_the_limit_in_force_is_near_what_is_left(
    calls: list[tuple[float, bool]], own: tuple[int, str]
) -> None:
    """Whatever the deadlines, it is within a fifth, never above the own, never 0."""
    own_ms, shown = own
    limit, in_force = Limit(), own_ms
    for left_s, data in calls:
        steps = limit.steps(left_s, data=data)
        step = next(steps, None)
        while step is not None:
            statement, parameter = step
            told: object = None
            if statement.startswith("SHOW"):
                told = shown
            elif "own = 0" in statement:
                assert parameter is not None
                told, in_force = own_ms, min(parameter, own_ms or parameter)
            else:
                assert (parameter is None) is not data
                set_ms = (
                    statement.rpartition(" ")[2] if parameter is None else parameter
                )
                in_force = int(set_ms)

            try:
                step = steps.send(told)
            except StopIteration:
                step = None

        if left_s == math.inf:
            assert in_force == own_ms
            continue

        wanted = max(left_s * 1000.0, 1.0)
        exact = min(wanted, own_ms or wanted)
        assert in_force > 0
        assert exact * 0.8 - 1 <= in_force <= exact / 0.8 + 1


def test_what_must_come_first_does(url: str) -> None:
    """Before SET TRANSACTION and LOCK nothing of ours takes the snapshot."""
    engine = create_engine(url.replace("://", "+psycopg://"))
    database.bound_statements(engine)
    snapshot = text("SELECT pg_current_xact_id_if_assigned()")
    with engine.connect() as connection, within(5.0):
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        connection.execute(snapshot)
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == (
            "serializable"
        )

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE locked (id int)"))

    with engine.connect() as connection, within(5.0):
        connection.execute(text("LOCK TABLE locked"))
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        assert 0.0 < limit_s(connection) <= 5.0

    with psycopg.connect(url) as plain, within(5.0):
        database.statement_timeout(plain)
        plain.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")

    with engine.connect() as holder, engine.connect() as waiter:
        holder.execute(text("LOCK TABLE locked"))
        with within(0.2), pytest.raises(OperationalError, match="statement timeout"):
            waiter.execute(text("LOCK TABLE locked"))

    with engine.begin() as connection:
        connection.execute(text("DROP TABLE locked"))

    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "mysql", "mariadb"),
    [
        (
            "SELECT 1",
            "SELECT /*+ MAX_EXECUTION_TIME(1500) */ 1",
            "SET STATEMENT max_statement_time=1.500 FOR SELECT 1",
        ),
        (
            "\n select x",
            "\n select /*+ MAX_EXECUTION_TIME(1500) */ x",
            "SET STATEMENT max_statement_time=1.500 FOR \n select x",
        ),
        ("SELECT /*+ MRR(t) */ 1", None, None),
        ("UPDATE t SET a = 1", None, None),
        ("SELECTED", None, None),
    ],
)
def test_hints(statement: str, mysql: str | None, mariadb: str | None) -> None:
    """A SELECT carries its limit; what has hints or can't be limited is left alone."""
    assert hinted(statement, 1.5) == (mysql or statement)
    assert hinted(statement, 1.5, mariadb=True) == (mariadb or statement)
    assert "(1)" in hinted("SELECT 1", -5.0)
