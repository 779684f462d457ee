"""The limit of one transaction, on whichever kind of connection it runs."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

from svcready._core.guard import report_foreign
from svcready.resilience._database._django import keep_django_limit
from svcready.resilience._database._engines import keep_limit, run_steps
from svcready.resilience._database._limits import Limit
from svcready.resilience._database._verdicts import is_of_database
from svcready.resilience._lineage import lineage
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from svcready.resilience._database._limits import Step

__all__ = ["limit_of", "limit_of_async"]

_LIMITS: weakref.WeakKeyDictionary[object, Limit] = weakref.WeakKeyDictionary()
_IDLE = 0  # libpq's PQTRANS_IDLE


def limit_of(connection: Any) -> Callable[[], None] | None:
    """Return what sets the limit of a connection's transaction; None: it is none."""
    names = lineage(type(connection))
    if not names.isdisjoint(("sqlalchemy.Session", "sqlalchemy.scoped_session")):
        return lambda: _quietly(lambda: _engine(connection.connection()))

    if "sqlalchemy.Connection" in names:
        return lambda: _quietly(lambda: _engine(connection))

    if not names.isdisjoint(("psycopg.Connection", "psycopg2.connection")):
        return lambda: _quietly(lambda: _driver(connection))

    if not names.isdisjoint(("django.BaseDatabaseWrapper", "django.ConnectionProxy")):
        return lambda: _quietly(lambda: _django(connection))

    return None


async def limit_of_async(connection: Any) -> bool:
    """Set the limit of an async connection's transaction; False: it is none."""
    names = lineage(type(connection))
    if not names.isdisjoint(("sqlalchemy.AsyncSession", "sqlalchemy.AsyncConnection")):
        try:
            await connection.run_sync(
                lambda inner: (limit_of(inner) or (lambda: None))()
            )
        except Exception as fault:  # noqa: BLE001 - the next statement is what matters
            _report(fault)

        return True

    psycopg = "psycopg.AsyncConnection" in names
    asyncpg = ("asyncpg.Connection", "asyncpg.PoolConnectionProxy")
    if not psycopg and names.isdisjoint(asyncpg):
        return False

    try:
        await (_psycopg(connection) if psycopg else _asyncpg(connection))
    except Exception as fault:  # noqa: BLE001 - the next statement is what matters
        _report(fault)

    return True


def _limit(connection: Any) -> None:
    sets = limit_of(connection)
    if sets is not None:
        sets()


def _quietly(sets: Callable[[], None]) -> None:
    try:
        sets()
    except Exception as fault:  # noqa: BLE001 - the next statement is what matters
        _report(fault)


def _report(fault: Exception) -> None:
    if not is_of_database(fault):
        report_foreign("resilience.statement_timeout", fault)


def _engine(connection: Any) -> None:
    if connection.dialect.name == "postgresql":
        keep_limit(connection)


def _django(connection: Any) -> None:
    if connection.vendor == "postgresql" and not connection.get_autocommit():
        connection.ensure_connection()
        keep_django_limit(connection)


def _driver(connection: Any) -> None:
    limit = _open(connection)
    if limit is not None:
        run_steps(limit, connection.cursor, data=False)


async def _psycopg(connection: Any) -> None:
    limit = _open(connection)
    if limit is None:
        return

    steps = limit.steps(_deadline.remaining(), data=False)
    step = next(steps, None)
    while step is not None:
        cursor = await connection.execute(step.statement)
        row = await cursor.fetchone() if cursor.description else (None,)
        step = _next(steps, row[0])


async def _asyncpg(connection: Any) -> None:
    if not connection.is_in_transaction():
        return

    # Each is looked at anew: nothing tells one transaction from the next.
    steps = Limit().steps(_deadline.remaining(), data=False)
    step = next(steps, None)
    while step is not None:
        if step.statement.startswith("SHOW"):
            step = _next(steps, await connection.fetchval(step.statement))
        else:
            await connection.execute(step.statement)
            step = _next(steps, None)


def _next(steps: Generator[Step, object, None], told: object) -> Step | None:
    try:
        return steps.send(told)
    except StopIteration:
        return None


def _open(connection: Any) -> Limit | None:
    """Return the limit of a driver's connection; None: there is nothing to do."""
    limit = _LIMITS.get(connection)
    if limit is None:
        if _deadline.remaining() == math.inf:
            return None

        limit = _LIMITS[connection] = Limit()

    if int(connection.info.transaction_status) == _IDLE:
        limit.begin()
        if connection.autocommit:
            return None  # it would hold beyond the statement

    return limit
