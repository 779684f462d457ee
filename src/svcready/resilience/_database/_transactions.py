"""Whether a transaction is still open, so that nothing in it may be run again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from svcready.resilience._database._pools import holders
from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["is_in_transaction", "is_left_open", "mark_ended"]

_IN_TRANSACTION = (2, 3)  # libpq's PQTRANS_INTRANS and PQTRANS_INERROR
_IN_ERROR = 3
_LENT = ("sqlalchemy.", "asyncpg.PoolConnectionProxy", "asyncpg.ConnectionResource")
_MARK = "__svcready_ended__"


def mark_ended(error: BaseException) -> None:
    """Say on an error that the transaction in which it came up was rolled back."""
    error.__dict__[_MARK] = True


def is_in_transaction(holder: object) -> bool | None:
    """Return whether a connection or session is in a transaction; None: it is none."""
    name = _name_of(holder)
    return None if name is None else _ASKED[name](holder)


def is_left_open(error: Exception) -> bool | None:
    """
    Tell whether the transaction in which *error* came up goes on outside of the call.

    SQLAlchemy's sessions and connections are asked, or the driver's, which the error
    came through; for Django the connections of this thread or task. None: there is
    nobody who could be asked.
    """
    if "django.Error" in lineage(type(error)):
        return _is_in_atomic_block()

    answers: dict[str, bool] = {}
    for holder in holders(error):
        name = _name_of(holder)
        if name is not None:
            answers[name] = answers.get(name, False) or _answer(name, holder)

    if not answers:
        if _MARK in vars(error):
            return False

        cursor = getattr(error, "cursor", None)  # psycopg2 is no Python
        return is_in_transaction(getattr(cursor, "connection", None))

    # What is lent for one use knows better: a driver's own connection may serve
    # somebody else by now.
    lent = {name for name in answers if name.startswith(_LENT)}
    return any(answers[name] for name in lent or answers)


def _is_in_atomic_block() -> bool:
    module: Any = sys.modules.get("django.db")
    if module is None:
        return False

    return any(map(_django, module.connections.all(initialized_only=True)))


def _name_of(holder: object) -> str | None:
    names = lineage(type(holder))
    return next((name for name in _ASKED if name in names), None)


def _answer(name: str, holder: object) -> bool:
    try:
        return _ASKED[name](holder)
    except Exception:  # noqa: BLE001 - it failed while it was made, and is nothing yet
        return False


def _sqlalchemy(holder: Any) -> bool:
    if holder.in_transaction():
        return True

    # A connection that broke in a transaction waits for its rollback.
    return not getattr(holder, "closed", True) and bool(holder.invalidated)


def _django(holder: Any) -> bool:
    # A TestCase has every test in a transaction, which is not the application's.
    blocks = getattr(holder, "atomic_blocks", ())
    own = [block for block in blocks if not getattr(block, "_from_testcase", False)]
    return bool(holder.in_atomic_block and (own or not blocks))


def _psycopg(holder: Any) -> bool:
    if holder.closed:
        return False

    status = int(holder.info.transaction_status)
    if getattr(holder, "_pool", None) is not None:
        return status == _IN_ERROR  # it may have gone back and be another's

    return status in _IN_TRANSACTION


def _psycopg2(holder: Any) -> bool:
    return not holder.closed and holder.info.transaction_status in _IN_TRANSACTION


def _psycopg_cursor(holder: Any) -> bool:
    return _psycopg(holder.connection)


def _asyncpg(holder: Any) -> bool:
    return not holder.is_closed() and bool(holder.is_in_transaction())


def _asyncpg_lent(holder: Any) -> bool:
    connection = getattr(holder, "_con", None)  # none once it is given back
    return connection is not None and _asyncpg(connection)


def _asyncpg_statement(holder: Any) -> bool:
    connection = getattr(holder, "_connection", None)
    if connection is None:
        return False

    # It is of one loan, and its connection counts how often it went back.
    loan = getattr(holder, "_con_release_ctr", None)
    if loan != getattr(connection, "_pool_release_ctr", None):
        return False

    return _asyncpg(connection)


def _sqlite(holder: Any) -> bool:
    try:
        return bool(holder.in_transaction)
    except ValueError:  # aiosqlite's is closed
        return False
    except Exception as error:
        if "sqlite3.ProgrammingError" in lineage(type(error)):  # closed
            return False

        raise


_ASKED: Mapping[str, Callable[[object], bool]] = {
    "sqlalchemy.Session": _sqlalchemy,
    "sqlalchemy.AsyncSession": _sqlalchemy,
    "sqlalchemy.Connection": _sqlalchemy,
    "sqlalchemy.AsyncConnection": _sqlalchemy,
    "sqlalchemy.scoped_session": _sqlalchemy,
    "psycopg.BaseConnection": _psycopg,
    "psycopg.BaseCursor": _psycopg_cursor,
    "psycopg2.connection": _psycopg2,
    "asyncpg.PoolConnectionProxy": _asyncpg_lent,
    "asyncpg.Connection": _asyncpg,
    "asyncpg.ConnectionResource": _asyncpg_statement,
    "sqlite3.Connection": _sqlite,
    "aiosqlite.Connection": _sqlite,
    "django.BaseDatabaseWrapper": _django,
    "django.ConnectionProxy": _django,
}
