"""What a database's error means: whether it may pass, and who is at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._database import _codes
from svcready.resilience._database._facts import facts_of
from svcready.resilience._database._pools import is_saturated
from svcready.resilience._database._transactions import is_left_open
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from svcready.resilience._database._facts import Facts

__all__ = ["is_of_database", "is_rolled_back", "is_transient", "outcome_of"]

_CLIENTS = (
    "psycopg.Error",
    "psycopg2.Error",
    "asyncpg.PostgresError",
    "asyncpg.InterfaceError",
    "pymysql.Error",
    "MySQLdb.Error",
    "asyncmy.Error",
    "mysql.Error",
    "sqlite3.Error",
    "sqlalchemy.SQLAlchemyError",
    "django.Error",
)
_UNREACHED = (
    "sqlalchemy.DontWrapMixin",
    "sqlalchemy.InvalidRequestError",
    "sqlalchemy.ArgumentError",
    "sqlalchemy.CompileError",
    "sqlalchemy.StatementError",
)
_FOUND_WRONG = (
    "sqlalchemy.NoResultFound",
    "sqlalchemy.MultipleResultsFound",
    "sqlalchemy.StaleDataError",
    "django.ObjectDoesNotExist",
    "django.MultipleObjectsReturned",
)
_SAID_NO = ("IntegrityError", "DataError", "ProgrammingError", "NotSupportedError")
_DRIVERS = ("psycopg", "psycopg2", "pymysql", "MySQLdb", "asyncmy", "mysql", "sqlite3")
_ANSWERS = tuple(f"{driver}.{kind}" for driver in _DRIVERS for kind in _SAID_NO)
_BROKEN = ("psycopg.OperationalError", "psycopg2.OperationalError")
_CLOSED = (
    "psycopg.InterfaceError",
    "psycopg2.InterfaceError",
    "asyncpg.InterfaceError",
    "pymysql.InterfaceError",
    "django.InterfaceError",
)


def is_transient(error: Exception) -> bool:
    """Return whether the transaction may succeed if it is run again, and can be."""
    facts = facts_of(error)
    if not _is_over(facts) and not _is_lost(facts):
        return False

    return _is_closed(error, facts)


def is_rolled_back(error: Exception) -> bool:
    """Return the same, of errors after which nothing was done for sure."""
    facts = facts_of(error)
    return _is_over(facts) and _is_closed(error, facts)


def outcome_of(error: Exception) -> str:
    """Return what an error is to a circuit breaker."""
    facts = facts_of(error)
    if is_saturated(error, facts.kinds):
        return "inconclusive"

    if _is_answer(facts):
        return "success"

    if facts.sqlstate == _codes.STATEMENT_TIMEOUT and _deadline.remaining() <= 0.0:
        return "ignored"

    if facts.is_one_of(*_UNREACHED) and facts.is_one_of("sqlalchemy.SQLAlchemyError"):
        driven = facts.is_one_of("sqlalchemy.DBAPIError")
        return "failure" if driven else "inconclusive"

    return "failure" if _is_known(facts) else "ignored"


def is_of_database(error: Exception) -> bool:
    """Return whether an error is a database's or a connection's at all."""
    return _is_known(facts_of(error))


def _is_known(facts: Facts) -> bool:
    return facts.is_one_of(*_CLIENTS, "builtins.OSError", "builtins.TimeoutError")


def _is_closed(error: Exception, facts: Facts) -> bool:
    """Tell whether no transaction goes on that a retry would do twice."""
    left_open = is_left_open(error)
    half = facts.mysql in _codes.HALF_MYSQL or facts.sqlite in _codes.ROLLED_BACK_SQLITE
    # After these the statement alone is undone: somebody must know of the rest.
    return left_open is False if half else not left_open


def _is_over(facts: Facts) -> bool:
    """Tell whether nothing of the transaction is in force."""
    return (
        facts.sqlstate in _codes.ROLLED_BACK
        or facts.mysql in _codes.ROLLED_BACK_MYSQL
        or facts.sqlite in _codes.ROLLED_BACK_SQLITE
        or (facts.connecting and facts.sqlstate is None)
        or facts.is_one_of("builtins.ConnectionRefusedError")
    )


def _is_lost(facts: Facts) -> bool:
    """Tell whether the connection broke while the transaction was under way."""
    if facts.is_one_of("psycopg_pool.PoolTimeout", "psycopg_pool.PoolClosed"):
        return False

    if facts.sqlstate in _codes.LOST or facts.mysql in _codes.LOST_MYSQL:
        return True

    if facts.invalidated or facts.is_one_of("builtins.ConnectionError"):
        return True

    # Where libpq itself failed there is no code, nor where a client has noticed.
    silent = facts.sqlstate is None
    closed = facts.is_one_of(*_CLOSED) and "closed" in facts.text
    return silent and (facts.is_one_of(*_BROKEN) or closed)


def _is_answer(facts: Facts) -> bool:
    """Tell whether the database looked at what it was asked."""
    if facts.sqlstate is not None:
        return facts.sqlstate.startswith(_codes.ANSWERED)

    return (
        facts.mysql in _codes.ANSWERED_MYSQL
        or facts.sqlite in _codes.ROLLED_BACK_SQLITE
        or facts.is_one_of(*_ANSWERS, *_FOUND_WRONG)
    )
