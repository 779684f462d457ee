"""
What a database's errors mean to policies, and statements that end with the deadline.

```python
import svcready
from svcready.resilience import database


@svcready.retry("orders-db", on=database.transient, wait_base="50ms")
@svcready.circuit_breaker("orders-db", success=database.answered)
def book(order):
    with Session.begin() as session:
        ...  # the whole transaction, so that all is rerun
```

It knows SQLAlchemy, Django, psycopg, psycopg2, asyncpg, the clients of MySQL, sqlite3
and aiosqlite. None of them is imported: an error is known by its class's name and its
code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svcready.resilience._database import _transactions, _verdicts
from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = [
    "answered",
    "bound_statements",
    "in_transaction",
    "local",
    "rolled_back",
    "statement_timeout",
    "statement_timeout_async",
    "transaction",
    "transient",
    "unrelated",
]


def transient(error: Exception) -> bool:
    """
    Return whether the transaction behind *error* may succeed if it is run again.

    Serialization failures, deadlocks, locks that were not to be had, connections that
    broke, a server that goes down, comes up or takes no more connections. Never: what
    the database said no to, a statement's time-out, a pool without a free connection.

    What is run again must be the whole transaction. So the answer is no if the one
    that failed is still open, because it began outside of what would be retried: an
    SQLAlchemy session or connection in a transaction, Django's `atomic`, a driver's
    connection in one. After SQLite's "database is locked" and MySQL's lock wait, which
    undo the statement alone, the answer is yes only if the end is known: see
    `transaction` for sqlite3.

    A connection that broke during COMMIT leaves unknown what happened. Where it would
    do harm to book twice, use `rolled_back`.

    Args:
        error: What a call raised.
    """
    return _verdicts.is_transient(error)


def rolled_back(error: Exception) -> bool:
    """
    Return the same as `transient`, where it is certain that nothing was done.

    These are its errors without connections that broke half way.

    Args:
        error: What a call raised.
    """
    return _verdicts.is_rolled_back(error)


def answered(error: Exception) -> bool:
    """
    Return whether *error* shows that the database works, if only to say no.

    Broken constraints, wrong values, wrong statements, no rows, deadlocks and other
    conflicts.
    A circuit breaker counts it as a success (`success=database.answered`).

    Args:
        error: What a call raised.
    """
    return _verdicts.outcome_of(error) == "success"


def local(error: Exception) -> bool:
    """
    Return whether *error* never left the process, for a breaker's `inconclusive`.

    No connection was free in the pool, or SQLAlchemy could not make the statement.

    Args:
        error: What a call raised.
    """
    return _verdicts.outcome_of(error) == "inconclusive"


def unrelated(error: Exception) -> bool:
    """
    Return whether *error* says nothing of the database, for a breaker's `ignore`.

    It is no error of a database's, or the deadline cut the statement off.

    Args:
        error: What a call raised.
    """
    return _verdicts.outcome_of(error) == "ignored"


def in_transaction(connection: object) -> bool:
    """
    Return whether a transaction is open, a failed one included.

    Args:
        connection: A session or connection of SQLAlchemy's, sync or async, one of
            psycopg's, psycopg2's, asyncpg's, sqlite3's or aiosqlite's, or Django's
            `connection`.

    Raises:
        TypeError: It is none of these.
    """
    answer = _transactions.is_in_transaction(connection)
    if answer is None:
        raise TypeError(f"{type(connection).__qualname__} is no connection to ask")

    return answer


def transaction(
    connection: sqlite3.Connection,
) -> AbstractContextManager[sqlite3.Connection]:
    """
    Run a block as one transaction of sqlite3's, of which `transient` knows the end.

    sqlite3's errors don't lead to their connection, and after "database is locked" its
    transaction may still be open. Where this has rolled it back, or it never began, a
    retry around the block may run it again. It takes the place of `with connection:`
    and begins as the connection's `isolation_level` says, in autocommit too. Commit
    nothing within, and use no other connection there: an error could be of either.

    Args:
        connection: One without an open transaction; SQLite refuses to begin another
            within it, and so on one with `autocommit=False`, which always has one.

    Raises:
        TypeError: It is no connection of sqlite3's.
        sqlite3.OperationalError: The transaction can't begin or end.
    """
    import sqlite3

    from svcready.resilience._database._sqlite import run_whole

    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(
            f"{type(connection).__qualname__} is no connection of sqlite3's"
        )

    return run_whole(connection)


def bound_statements(engine: object) -> Callable[[], None]:
    """
    Let no statement run longer than the deadline in force leaves.

    On PostgreSQL each transaction gets a `statement_timeout` before its first
    statement, and again when what is left has become shorter by a fifth; a shorter
    one of the database's own stays. It ends with the transaction. On MySQL and
    MariaDB every SELECT carries its limit. Where no deadline is in force nothing is
    sent.

    It costs one round trip a transaction. Django's single statements outside of
    `atomic` get a transaction of their own for it; connections of SQLAlchemy's in
    AUTOCOMMIT are left alone.

    Args:
        engine: An engine of SQLAlchemy's, sync or async, or Django's
            `django.db.connections`, which stands for all of them. Twice changes
            nothing.

    Returns:
        What takes it back.

    Raises:
        TypeError: It is neither.
    """
    names = lineage(type(engine))
    if "django.ConnectionHandler" in names:
        from svcready.resilience._database._django import bind_connections

        return bind_connections()

    sync: Any = getattr(engine, "sync_engine", engine)
    if "sqlalchemy.Engine" not in lineage(type(sync)):
        raise TypeError(f"{type(engine).__qualname__} is no engine to bind")

    from svcready.resilience._database._engines import bind_engine

    return bind_engine(sync)


def statement_timeout(connection: object) -> None:
    """
    Let no statement of the transaction run longer than the deadline leaves.

    It does once what `bound_statements` does before each statement: PostgreSQL's
    `statement_timeout` is set for this transaction. Called again, it keeps to what is
    left by then. Without a deadline, or outside of a transaction, nothing is sent.
    What fails in it is met by the next statement.

    Args:
        connection: A session or connection of SQLAlchemy's, a connection of psycopg's
            or psycopg2's, or Django's `connection`.

    Raises:
        TypeError: It is none of these.
    """
    from svcready.resilience._database._drivers import limit_of

    sets = limit_of(connection)
    if sets is None:
        raise TypeError(f"{type(connection).__qualname__} is no connection to limit")

    sets()


async def statement_timeout_async(connection: object) -> None:
    """
    Do as `statement_timeout` on an async connection.

    Args:
        connection: An `AsyncSession` or `AsyncConnection` of SQLAlchemy's, an
            `AsyncConnection` of psycopg's, or a connection of asyncpg's.

    Raises:
        TypeError: It is none of these.
    """
    from svcready.resilience._database._drivers import limit_of_async

    if not await limit_of_async(connection):
        raise TypeError(f"{type(connection).__qualname__} is no connection to limit")
