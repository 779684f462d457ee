"""Time-outs for the connections that a check makes as an SQLAlchemy engine does."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from svcready.health.checks._sql._databases import UnfitError, ends_s, fill, left_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from sqlalchemy.engine import Dialect
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["bound_connecting", "connect_as"]

# What drivers call their time-outs, which all take whole seconds. psycopg's way is
# another, and asynchronous drivers are cancelled.
_TIMEOUTS = {
    "mariadbconnector": ("connect_timeout", "read_timeout", "write_timeout"),
    "mysqlconnector": ("connection_timeout",),
    "mysqldb": ("connect_timeout", "read_timeout", "write_timeout"),
    "oracledb": ("tcp_connect_timeout",),
    "pg8000": ("timeout",),
    "psycopg2": ("connect_timeout",),
    "pymssql": ("login_timeout", "timeout"),
    "pymysql": ("connect_timeout", "read_timeout", "write_timeout"),
    "pyodbc": ("timeout",),
    "pysqlite": ("timeout",),
}

# When a connection that a check makes is to be there; the application's have no such.
_connect_by_s: ContextVar[float] = ContextVar("svcready_connect_by_s")
_bounded: WeakSet[Dialect] = WeakSet()


def connect_as(engine: Engine, seconds: float) -> DBAPIConnection:
    """
    Make a connection as the engine does, outside its pool, in *seconds*.

    Raises:
        UnfitError: SQLAlchemy has another way of doing so than it had.
    """
    make = _maker_of(engine)
    token = _connect_by_s.set(ends_s(seconds))
    try:
        return make()
    finally:
        _connect_by_s.reset(token)


def _maker_of(engine: Engine) -> Callable[[], DBAPIConnection]:
    pool = engine.pool
    try:
        from sqlalchemy.pool.base import _ConnectionRecord

        # For listeners that set a password; the record is in no pool.
        record = _ConnectionRecord(pool, connect=False)
        make = pool._invoke_creator  # noqa: SLF001
    except (AttributeError, ImportError, TypeError) as error:
        msg = (
            "this release of SQLAlchemy is not known to svcready, so that the database "
            f"cannot be asked past its pool ({error})"
        )
        raise UnfitError(msg) from error

    return lambda: make(record)


def bound_connecting(dialect: Dialect) -> None:
    """Give the checks' own connections a time-out, whatever the engine's have."""
    if dialect in _bounded:
        return

    _bounded.add(dialect)
    inner = dialect.connect

    def connect(*args: object, **kwargs: object) -> DBAPIConnection:
        by_s = _connect_by_s.get(0.0)
        if not by_s:
            return inner(*args, **kwargs)

        return _connect_within(dialect, inner, left_s(by_s), args, kwargs)

    vars(dialect)["connect"] = connect


def _connect_within(
    dialect: Dialect,
    connect: Callable[..., DBAPIConnection],
    seconds: float,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> DBAPIConnection:
    if dialect.driver == "psycopg":
        import psycopg

        from svcready.health.checks._sql._psycopg import connect_within

        made: object = connect_within(psycopg.Connection, seconds, *args, **kwargs)
        return cast("DBAPIConnection", made)

    fill(kwargs, _TIMEOUTS.get(dialect.driver, ()), seconds)
    return connect(*args, **kwargs)
