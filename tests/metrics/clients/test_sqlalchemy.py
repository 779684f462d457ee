"""Metrics of SQLAlchemy engines, on SQLite."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest

from svcready.metrics import instrument_engine
from svcready.metrics.clients._database import operation_of
from tests.servers.harness import eventually

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, event, exc, text  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402
from sqlalchemy.pool import NullPool  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from svcready.metrics._pillar import MetricsPillar
    from svcready.testing import FakeClock
    from tests.conftest import Faults
    from tests.metrics.clients.support import Page

DURATION = "db.client.operation.duration"
COUNT = "db.client.connection.count"


@pytest.fixture
def make_engine(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., Engine]]:
    """Make engines on one database, whose function `work` takes fake seconds."""
    made = []

    def work(seconds: float) -> int:
        clock.advance(seconds)
        return 1

    def make(**options: object) -> Engine:
        engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}", **options)

        @event.listens_for(engine, "connect")
        def _teach(connection: object, _: object) -> None:
            connection.create_function("work", 1, work)  # type: ignore[attr-defined]

        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.dispose()


def test_a_querys_duration_is_recorded_by_operation(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """Each statement's time goes to the series of its first word."""
    engine = make_engine()
    instrument_engine(engine)

    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE items (size FLOAT)"))
        connection.execute(text("/* why */ insert into items values (work(0.5))"))
        connection.execute(text("SELECT work(2), size FROM items"))
        connection.execute(text("SELECT work(1)"))

    def took(operation: str) -> float:
        return page.total(DURATION, db_operation_name=operation, error_type="")

    assert took("SELECT") == pytest.approx(3)
    assert took("INSERT") == pytest.approx(0.5)
    assert page.count(DURATION, db_operation_name="SELECT") == 2
    assert page.count(DURATION, db_operation_name="CREATE") == 1
    assert page.count(DURATION) == 4
    assert {
        (own["db_system_name"], own["db_namespace"], own["server_address"])
        for own in page.labels(DURATION)
    } == {("sqlite", "orders.db", "")}


def test_an_error_is_recorded_by_its_class(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """A refused statement has the driver's class as error_type, and reaches the app."""
    engine = make_engine()
    instrument_engine(engine)

    with engine.connect() as connection:
        with pytest.raises(exc.OperationalError):
            connection.execute(text("SELECT * FROM missing"))

        connection.execute(text("SELECT 1"))

    assert page.count(DURATION, error_type="OperationalError") == 1
    assert page.count(DURATION, db_operation_name="SELECT", error_type="") == 1


def test_transactions_are_counted_by_their_end(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """A commit is one, and so is a rollback, by a block left without commit too."""
    engine = make_engine()
    instrument_engine(engine)

    for _ in range(3):
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))

    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert page.value("db.client.transactions", outcome="commit") == 3
    assert page.value("db.client.transactions", outcome="rollback") == 1


def test_the_pools_levels_are_read(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """In use, idle and the limits are what the pool says at the snapshot."""
    engine = make_engine(pool_size=2, max_overflow=3)
    instrument_engine(engine, name="orders")
    held = [engine.connect() for _ in range(3)]
    held.pop().close()

    def level(state: str) -> float:
        return page.value(COUNT, db_client_connection_state=state)

    assert (level("used"), level("idle")) == (2, 1)
    assert page.value("db.client.connection.max") == 5
    assert page.value("db.client.connection.idle.max") == 2
    for connection in held:
        connection.close()

    assert (level("used"), level("idle")) == (0, 2)  # the overflow's one is closed
    assert page.labels("db.client.connection.max") == [
        {"db_client_connection_pool_name": "orders"}
    ]


def test_a_wait_for_a_connection_is_measured(
    make_engine: Callable[..., Engine], page: Page, clock: FakeClock
) -> None:
    """Who waits is pending, and then the whole wait is recorded."""
    engine = make_engine(pool_size=1, max_overflow=0)
    instrument_engine(engine)
    held = engine.connect()
    waiter = threading.Thread(target=lambda: engine.connect().close())
    waiter.start()
    eventually(
        lambda: page.value("db.client.connection.pending_requests") == 1, "a waiter"
    )
    clock.advance(4)
    held.close()
    waiter.join()

    assert page.count("db.client.connection.wait_time") == 2
    assert page.total("db.client.connection.wait_time") == pytest.approx(4)
    assert page.value("db.client.connection.pending_requests") == 0


def test_time_in_use_is_measured(
    make_engine: Callable[..., Engine], page: Page, clock: FakeClock
) -> None:
    """From lending a connection to its return; making one is counted apart."""
    engine = make_engine()
    instrument_engine(engine)
    for seconds in (1, 2):
        with engine.connect():
            clock.advance(seconds)

    assert page.total("db.client.connection.use_time") == pytest.approx(3)
    assert page.count("db.client.connection.create_time") == 1


def test_a_wait_that_is_given_up_is_counted(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """The pool's timeout raises as ever, and counts; nothing is left pending."""
    engine = make_engine(pool_size=1, max_overflow=0, pool_timeout=0.01)
    instrument_engine(engine)
    with engine.connect(), pytest.raises(exc.TimeoutError):
        engine.connect()

    assert page.value("db.client.connection.timeouts") == 1
    assert page.count("db.client.connection.wait_time") == 1
    assert page.value("db.client.connection.pending_requests") == 0


def test_a_connection_that_cannot_be_made_is_counted(
    tmp_path: Path, page: Page
) -> None:
    """The driver's refusal to connect is an error of the pool."""
    engine = create_engine(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    instrument_engine(engine)
    with pytest.raises(exc.OperationalError):
        engine.connect()

    assert page.value("db.client.connection.errors", reason="connect") == 1
    assert page.value("db.client.connection.errors", reason="lost") == 0


def test_a_pool_without_counts_tells_what_is_in_use(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """Where each connection is closed after use, only those in use are told."""
    engine = make_engine(poolclass=NullPool)
    instrument_engine(engine)
    with engine.connect(), engine.connect():
        assert page.value(COUNT) == 2

    assert page.value(COUNT) == 0
    assert page.labels("db.client.connection.max") == []


def test_instrumented_twice_counts_once(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """So does a view of the engine, and its undo is the same."""
    engine = make_engine()
    undo = instrument_engine(engine)

    assert instrument_engine(engine) is undo
    assert instrument_engine(engine.execution_options(view=1)) is undo
    with engine.execution_options(view=2).connect() as connection:
        connection.execute(text("SELECT 1"))

    assert page.count(DURATION) == 1
    assert page.count("db.client.connection.wait_time") == 1


def test_undone_it_counts_no_more(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """After the undo nothing is recorded nor left on the engine; again, it counts."""
    engine = make_engine()
    before = set(vars(engine.pool))
    undo = instrument_engine(engine)
    undo()
    undo()
    assert set(vars(engine.pool)) == before
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert page.count(DURATION) == 0
    instrument_engine(engine)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert page.count(DURATION) == 1


def test_a_disposed_engine_is_measured_on(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """A dispose gives the engine a new pool, which is measured as the old one was."""
    engine = make_engine()
    undo = instrument_engine(engine)
    engine.connect().close()
    engine.dispose()
    with engine.connect():
        assert page.value(COUNT, db_client_connection_state="used") == 1

    assert page.count("db.client.connection.wait_time") == 2
    assert page.count("db.client.connection.use_time") == 2
    undo()
    engine.connect().close()
    assert page.count("db.client.connection.use_time") == 2


def test_engines_of_one_name_are_added_up_and_forgotten(
    make_engine: Callable[..., Engine], page: Page, tmp_path: Path
) -> None:
    """Two pools of a name are one; the metrics keep no engine alive."""
    engine = make_engine()
    other = create_engine(f"sqlite:///{tmp_path / 'orders.db'}")
    instrument_engine(engine)
    instrument_engine(other)
    with engine.connect(), other.connect():
        assert page.value(COUNT, db_client_connection_state="used") == 2

    assert page.value("db.client.connection.max") == 30
    other.dispose()
    del other
    gc.collect()

    assert page.value("db.client.connection.max") == 15


def test_a_method_of_a_pool_may_be_all_that_is_kept(tmp_path: Path, page: Page) -> None:
    """It keeps its pool, and works, as it does where nothing is measured."""
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}")
    instrument_engine(engine)
    connect = engine.pool.connect
    del engine
    gc.collect()

    connection = connect()
    connection.close()

    assert page.count("db.client.connection.wait_time") == 1


def test_a_dialect_may_be_given_its_arguments_by_name(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """Third parties' dialects call their own methods as they like."""
    engine = make_engine()
    instrument_engine(engine)

    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        engine.dialect.do_execute(
            cursor=cursor, statement="SELECT 7", parameters=(), context=None
        )
        assert cursor.fetchone() == (7,)

    assert page.count(DURATION, db_operation_name="SELECT") == 1


async def drive_async(url: str) -> None:
    """Run two statements at once on an instrumented async engine."""
    engine = create_async_engine(url, pool_size=1, max_overflow=0)
    instrument_engine(engine)

    async def select() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 1"))

    await asyncio.gather(select(), select())
    await engine.dispose()


def test_async_engines_are_measured_the_same(tmp_path: Path, page: Page) -> None:
    """Queries, waits, use and transactions of an async engine are all there."""
    pytest.importorskip("aiosqlite")
    asyncio.run(drive_async(f"sqlite+aiosqlite:///{tmp_path / 'orders.db'}"))

    assert page.count(DURATION, db_operation_name="SELECT", error_type="") == 2
    assert page.count("db.client.connection.wait_time") == 2
    assert page.count("db.client.connection.use_time") == 2
    assert page.count("db.client.connection.create_time") == 1
    assert page.value("db.client.transactions", outcome="commit") == 2


def test_by_name_every_engine_is_measured(
    make_engine: Callable[..., Engine], make_pillar: Callable[..., MetricsPillar]
) -> None:
    """The setting finds engines made before and after, once, until the pillar ends."""
    from tests.metrics.clients.support import Page

    early = make_engine()
    pillar = make_pillar(instrument=("sqlalchemy",))
    page = Page(pillar)
    late = make_engine()
    instrument_engine(late)
    for engine in (early, late):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    assert pillar.problems == ()
    assert page.count(DURATION) == 2
    pillar.close()
    with early.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert page.count(DURATION) == 2


def test_a_fault_of_ours_stays_ours(
    make_engine: Callable[..., Engine],
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
) -> None:
    """Were recording to fail, the query would still be answered."""
    from svcready.metrics.clients._database import Database

    engine = make_engine()
    instrument_engine(engine)

    def fail(*_: object, **__: object) -> None:
        raise LookupError("ours")

    monkeypatch.setattr(Database, "took", fail)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 7")).scalar() == 7

    assert isinstance(faults.claim("metrics.clients"), LookupError)


def test_no_label_holds_what_was_asked(
    make_engine: Callable[..., Engine], page: Page
) -> None:
    """Neither statements nor parameters nor tables are in the snapshot."""
    engine = make_engine()
    instrument_engine(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE hunter2 (x TEXT)"))
        connection.execute(text("INSERT INTO hunter2 VALUES (:x)"), {"x": "s3cret"})

    assert "hunter2" not in page.text()
    assert "s3cret" not in page.text()


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "SELECT"),
        ("select\n1", "SELECT"),
        ("  (SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("-- why\nUPDATE x SET y = 1", "UPDATE"),
        ("/* a */ /* b */ delete from x", "DELETE"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "WITH"),
        ("COMMIT", "COMMIT"),
        ("COMMIT;", "COMMIT"),
        ("hunter2 hunter2", "_OTHER"),
        ("", "_OTHER"),
        ("--", "_OTHER"),
        ("/* " * 50_000, "_OTHER"),
        (b"SELECT 1", "_OTHER"),
        (None, "_OTHER"),
    ],
)
def test_an_operation_is_one_of_few_words(statement: object, operation: str) -> None:
    """Comments and brackets are skipped; an unknown word makes no series."""
    assert operation_of(statement) == operation
