"""Files of SQLite that somebody else writes to, and what is run again for it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import aiosqlite
import pytest

from svcready.resilience import database, policy
from svcready.testing import FakeClock
from tests.resilience.peers import retrier_of, run_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Literal

    Level = Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None

INSERT = "INSERT INTO orders VALUES (7)"
LEVELS = ["DEFERRED", "IMMEDIATE", "EXCLUSIVE", None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a table without rows."""
    made = tmp_path / "orders.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")

    return made


@pytest.fixture
def blocker(file: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who is writing."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def rows(file: Path) -> int:
    """Return how many orders there are."""
    with closing(sqlite3.connect(file)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
        return int(count)


def guarded() -> Callable[..., object]:
    """Return the preset's way to call, which waits on a clock of its own."""
    made = policy("orders-db", preset="database")
    run_on(FakeClock())
    return made.call


def caught_by(call: Callable[[], object]) -> sqlite3.OperationalError:
    """Return the error that a call raises."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        call()

    return caught.value


def meet_a_lock(
    blocker: sqlite3.Connection, write: Callable[[], object]
) -> Callable[[], int]:
    """Return what calls *write*, finds the lock free the second time, and counts."""
    calls: list[int] = []

    def attempt() -> int:
        calls.append(1)
        if len(calls) == 2:
            blocker.execute("ROLLBACK")

        write()
        return len(calls)

    return attempt


@pytest.mark.parametrize("level", LEVELS)
def test_a_locked_file_is_asked_again(
    file: Path, blocker: sqlite3.Connection, level: Level
) -> None:
    """A transaction that found the file locked runs again, and writes one row."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=level)) as store:

        def write() -> None:
            with database.transaction(store) as same:
                assert same is store
                same.execute(INSERT)

        assert guarded()(meet_a_lock(blocker, write)) == 2

    assert rows(file) == 1
    assert retrier_of("orders-db").counts()["recovered"] == 1


def test_a_fresh_connection_is_asked_again(
    file: Path, blocker: sqlite3.Connection
) -> None:
    """A connection that is made in the call and gone with it is no hindrance."""

    def write() -> None:
        with (
            closing(sqlite3.connect(file, timeout=0)) as store,
            database.transaction(store),
        ):
            store.execute(INSERT)

    assert guarded()(meet_a_lock(blocker, write)) == 2
    assert rows(file) == 1


@pytest.mark.parametrize("level", ["DEFERRED", "IMMEDIATE", None])
def test_all_statements_are_undone_together(file: Path, level: Level) -> None:
    """
    A lock that COMMIT alone meets leaves nothing behind, in autocommit neither, so that
    a retry writes no row twice.
    """
    with (
        closing(sqlite3.connect(file, timeout=0, isolation_level=level)) as store,
        closing(sqlite3.connect(file, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM orders").fetchone()

        def write() -> None:
            with database.transaction(store):
                store.execute(INSERT)
                store.execute(INSERT)

        error = caught_by(write)
        assert not store.in_transaction
        assert database.transient(error)
        assert database.rolled_back(error)
        assert rows(file) == 0
        reader.execute("COMMIT")
        write()

    assert rows(file) == 2


def test_a_snapshot_that_is_too_old(file: Path) -> None:
    """With a log, who has read what is changed by now is locked out, and reads anew."""
    with (
        closing(sqlite3.connect(file, timeout=0)) as store,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("PRAGMA journal_mode=WAL")
        read: list[int] = []

        def add() -> None:
            with database.transaction(store):
                (count,) = store.execute("SELECT count(*) FROM orders").fetchone()
                read.append(count)
                if len(read) == 1:
                    other.execute(INSERT)

                store.execute("INSERT INTO orders VALUES (?)", (count,))

        guarded()(add)

    assert read == [0, 1]
    assert rows(file) == 2


def test_what_may_go_on_is_not_run_again(
    file: Path, blocker: sqlite3.Connection
) -> None:
    """
    Without it the error doesn't lead to a connection, and goes out at once; so it does
    inside of a transaction, and where an open one was there before, which stays.
    """
    with closing(sqlite3.connect(file, timeout=0)) as store:
        assert not database.transient(caught_by(lambda: store.execute(INSERT)))
        assert store.in_transaction  # which is why

        def within() -> None:
            with database.transaction(store):
                store.execute(INSERT)

        refused = caught_by(within)
        assert "within a transaction" in str(refused)
        assert not database.transient(refused)
        assert store.in_transaction
        store.rollback()

        calls: list[int] = []

        def statement() -> None:
            calls.append(1)
            store.execute(INSERT)

        def around() -> None:
            with database.transaction(store):
                guarded()(statement)

        assert database.transient(caught_by(around))
        assert len(calls) == 1

    blocker.execute("ROLLBACK")
    assert rows(file) == 0


def test_what_was_committed_within_is_not_run_again(
    file: Path, blocker: sqlite3.Connection
) -> None:
    """Where the block has committed a part by itself, nobody knows what is in force."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as store:

        def write() -> None:
            with database.transaction(store):
                store.commit()
                store.execute(INSERT)

        assert not database.transient(caught_by(write))


def test_a_connection_closed_within(file: Path) -> None:
    """What the block raised comes out, though there is nothing left to roll back."""
    store = sqlite3.connect(file)

    def write() -> None:
        with database.transaction(store):
            store.close()
            raise LookupError("no order")

    with pytest.raises(LookupError):
        write()

    assert not database.in_transaction(store)


@pytest.mark.parametrize("error", [LookupError("no order"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(file: Path, error: BaseException) -> None:
    """They roll back too, and nothing is left on them."""
    with closing(sqlite3.connect(file)) as store:

        def write() -> None:
            with database.transaction(store):
                store.execute(INSERT)
                assert database.in_transaction(store)
                raise error

        with pytest.raises(type(error)):
            write()

        assert not database.in_transaction(store)

    assert vars(error) == {}
    assert rows(file) == 0


def test_only_sqlites_connections() -> None:
    """Another's connection is refused where it is given."""
    with pytest.raises(TypeError, match="object is no connection of sqlite3's"):
        database.transaction(object())  # type: ignore[arg-type]


async def locked(file: Path, blocker: sqlite3.Connection) -> None:
    """Meet a lock while a connection is open and when it is closed."""
    async with aiosqlite.connect(file, timeout=0) as store:
        with pytest.raises(sqlite3.OperationalError) as running:
            await store.execute(INSERT)

        assert database.in_transaction(store)
        assert not database.transient(running.value)
        await store.rollback()
        assert not database.in_transaction(store)
        assert database.transient(running.value)

    assert not database.in_transaction(store)
    calls: list[int] = []

    async def write() -> None:
        calls.append(1)
        if len(calls) == 2:
            blocker.execute("ROLLBACK")

        async with aiosqlite.connect(file, timeout=0) as store:
            await store.execute(INSERT)
            await store.commit()

    made = policy("orders-db", preset="database")
    run_on(FakeClock())
    await made(write)()
    assert len(calls) == 2


def test_aiosqlite(file: Path, blocker: sqlite3.Connection) -> None:
    """The errors of aiosqlite lead to their connection, which is asked."""
    asyncio.run(locked(file, blocker))
    assert rows(file) == 1
