"""What the errors of databases mean, by code and class, without a server."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import asyncpg  # type: ignore[import-untyped]
import django.core.exceptions
import psycopg
import psycopg.errors
import psycopg2  # type: ignore[import-untyped]
import pytest
import sqlalchemy
import sqlalchemy.exc
import sqlalchemy.orm
import sqlalchemy.pool

from svcready.resilience import database
from tests.architecture.house import run_clean_json
from tests.resilience.peers import judged
from tests.servers.harness import free_port

if TYPE_CHECKING:
    from pathlib import Path


class PyMySQLError(Exception):
    """Stands for PyMySQL's."""


PyMySQLError.__name__, PyMySQLError.__module__ = "Error", "pymysql.err"


def coded(code: str) -> Exception:
    """Return psycopg's error with a code."""
    return psycopg.errors.lookup(code)("no")


def mysql(number: int) -> Exception:
    """Return what PyMySQL raises with a number of MySQL's."""
    return PyMySQLError(number, "no")


ROLLED_BACK = ("40001", "40P01", "55P03", "57P03", "53300", "08001", "57P05")
LOST = ("08006", "08003", "08007", "57P01", "57P02")
NEVER = ("23505", "22001", "42601", "57014", "25P02", "53100", "XX000", "P0001")


@pytest.mark.parametrize("code", ROLLED_BACK)
def test_what_was_rolled_back_is_retried(code: str) -> None:
    """Nothing is in force, and the same may succeed next time."""
    assert database.transient(coded(code))
    assert database.rolled_back(coded(code))


@pytest.mark.parametrize("code", LOST)
def test_lost_connections_may_have_committed(code: str) -> None:
    """They are transient, but not for a caller who must not book twice."""
    assert database.transient(coded(code))
    assert not database.rolled_back(coded(code))


@pytest.mark.parametrize("code", NEVER)
def test_the_databases_no_is_final(code: str) -> None:
    """A constraint, a syntax error, a time-out, a full disk: no retry helps."""
    assert not database.transient(coded(code))


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("23505", "success"),
        ("22001", "success"),
        ("42P01", "success"),
        ("40001", "success"),
        ("40P01", "success"),
        ("55P03", "success"),
        ("25P02", "success"),
        ("P0001", "success"),
        ("25006", "failure"),
        ("57014", "failure"),
        ("57P01", "failure"),
        ("53300", "failure"),
        ("53100", "failure"),
        ("28P01", "failure"),
        ("XX000", "failure"),
    ],
)
def test_an_answer_is_a_success(code: str, outcome: str) -> None:
    """A breaker opens for what is wrong with the database, not with a statement."""
    assert judged(database, coded(code)) == outcome


@pytest.mark.parametrize(
    ("number", "transient", "rolled_back", "outcome"),
    [
        (1205, False, False, "success"),  # the statement alone is undone
        (1213, True, True, "success"),
        (2003, True, True, "failure"),
        (1040, True, True, "failure"),
        (2006, True, False, "failure"),
        (2013, True, False, "failure"),
    ],
)
def test_mysqls_numbers(
    number: int, *, transient: bool, rolled_back: bool, outcome: str
) -> None:
    """Deadlocks and lock waits, connections refused and lost, by MySQL's numbers."""
    error = mysql(number)
    assert database.transient(error) is transient
    assert database.rolled_back(error) is rolled_back
    assert judged(database, error) == outcome


def test_sqlite_that_is_busy(tmp_path: Path) -> None:
    """
    A file that another connection writes to is not at fault. It is transient where
    SQLAlchemy can be asked whether a transaction goes on, which SQLite leaves open.
    """
    first = sqlite3.connect(tmp_path / "orders")
    second = sqlite3.connect(tmp_path / "orders", timeout=0)
    first.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError) as caught:
        second.execute("BEGIN EXCLUSIVE")

    engine = sqlalchemy.create_engine(
        f"sqlite:///{tmp_path}/orders", connect_args={"timeout": 0}
    )

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE orders (id)"))

    with pytest.raises(sqlalchemy.exc.OperationalError) as wrapped:
        write()

    first.close()
    second.close()
    engine.dispose()
    assert not database.transient(caught.value)
    assert judged(database, caught.value) == "success"
    assert database.transient(wrapped.value)
    assert database.rolled_back(wrapped.value)


def test_a_refused_connection_is_certain() -> None:
    """Whichever client was refused: nothing was done, and the database is at fault."""
    closed_port = free_port()
    found: list[Exception] = []
    for connect in (psycopg.connect, psycopg2.connect):
        with pytest.raises((psycopg.Error, psycopg2.Error)) as caught:
            connect(f"postgresql://127.0.0.1:{closed_port}/orders", connect_timeout=2)

        found.append(caught.value)

    engine = sqlalchemy.create_engine(
        f"postgresql+psycopg://127.0.0.1:{closed_port}/orders"
    )
    with pytest.raises(sqlalchemy.exc.OperationalError) as wrapped:
        engine.connect()

    found.append(wrapped.value)
    assert all(map(database.transient, found))
    assert database.rolled_back(found[0])
    assert database.rolled_back(found[2])
    assert {judged(database, error) for error in found} == {"failure"}


def test_a_full_pool_is_no_outage() -> None:
    """SQLAlchemy's pool without a free connection says nothing of the database."""
    engine = sqlalchemy.create_engine(
        "sqlite://",
        poolclass=sqlalchemy.pool.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0,
    )
    with engine.connect(), pytest.raises(sqlalchemy.exc.TimeoutError) as caught:
        engine.connect()

    engine.dispose()
    assert judged(database, caught.value) == "inconclusive"
    assert not database.transient(caught.value)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (sqlalchemy.exc.NoResultFound(), "success"),
        (sqlalchemy.exc.MultipleResultsFound(), "success"),
        (sqlalchemy.orm.exc.StaleDataError(), "success"),
        (sqlalchemy.exc.ArgumentError(), "inconclusive"),
        (sqlalchemy.exc.PendingRollbackError(), "inconclusive"),
        (sqlalchemy.exc.StatementError("no", "", (), KeyError()), "inconclusive"),
        (django.core.exceptions.ObjectDoesNotExist(), "success"),
        (sqlite3.IntegrityError(), "success"),
        (asyncpg.UniqueViolationError(""), "success"),
        (asyncpg.ConnectionDoesNotExistError(""), "failure"),
        (ConnectionResetError(), "failure"),
        (TimeoutError(), "failure"),
        (LookupError(), "ignored"),
        (ValueError(), "ignored"),
    ],
)
def test_errors_without_a_code(error: Exception, outcome: str) -> None:
    """No rows are an answer; the application's own errors say nothing."""
    assert judged(database, error) == outcome


def test_errors_of_others_are_not_retried() -> None:
    """What a database has no part in is no transient error of one."""
    for error in (LookupError(), TimeoutError(), ValueError("deadlock_detected")):
        assert not database.transient(error)


def test_nothing_is_imported() -> None:
    """Judging an error loads no client library."""
    program = """
import json, sys
from svcready.resilience import database
database.transient(ConnectionError()), database.answered(ValueError())
libraries = ("sqlalchemy", "psycopg", "psycopg2", "asyncpg", "django", "asyncio")
print(json.dumps([name for name in libraries if name in sys.modules]))
"""
    assert run_clean_json(program) == []
