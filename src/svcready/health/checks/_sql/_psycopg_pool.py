"""The check of the database behind a pool of psycopg_pool."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._forked import is_inherited
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._databases import Levels, check_database
from svcready.health.checks._sql._psycopg import (
    Own,
    connect_within,
    parts_of,
    target_in,
)
from svcready.health.checks._subjects import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from psycopg import Connection
    from psycopg_pool import ConnectionPool
    from psycopg_pool.base import BasePool

    from svcready.health._result import CheckResult
    from svcready.health.checks._adding import Options
    from svcready.health.checks._sql._databases import Held
    from svcready.health.checks._sql._psycopg import Pings

__all__ = [
    "TAKE_S",
    "PoolSource",
    "add_psycopg_pool",
    "arguments_of",
    "has_own_ready",
    "levels_of",
    "secrets_of",
]

TAKE_S = 0.05
"""What lies ready is there at once, unless another thread was faster."""


def add_psycopg_pool(
    pool: BasePool, *, name: str | None = None, **options: Unpack[Options]
) -> None:
    """
    Check the database behind a pool of psycopg_pool.

    A connection that lies ready is asked and given back. With none ready the check
    connects by itself, and warns if the pool is exhausted; it never queues.

    Args:
        pool: Sync or async, null pools as well.
        name: `psycopg_pool.<database>` if not given.
        options: As for `health.check`.

    Raises:
        DeclarationError: It is no pool, an option is wrong, or another check has the
            name.
    """
    if not hasattr(pool, "getconn") or not hasattr(pool, "name"):
        raise refuse("add_psycopg_pool", "a pool of psycopg_pool", pool)

    from psycopg_pool import AsyncConnectionPool
    from psycopg_pool.base import BasePool as Base

    if not isinstance(pool, Base):
        raise refuse("add_psycopg_pool", "a pool of psycopg_pool", pool)

    parts = parts_of(*arguments_of(pool))
    if isinstance(pool, AsyncConnectionPool):
        from svcready.health.checks._sql._psycopg_async import run_pool

        run: Callable[[], object] = partial(run_pool, pool)
    else:
        run = PoolSource(cast("ConnectionPool", pool)).run

    add(
        name or derive_name("psycopg_pool", parts["dbname"] or pool.name),
        ReadyMade(run, kind="datastore", target=target_in(parts)),
        options,
    )


class _Lent(Own):
    """A connection of a pool."""

    def __init__(self, pool: ConnectionPool, connection: Connection[Any]) -> None:
        Own.__init__(self, cast("Pings", connection))
        self._pool = pool
        self._connection = connection

    def ping(self) -> None:
        """Have the server answer, and leave no transaction open."""
        connection = self.driver
        if connection.autocommit:
            connection.execute("SELECT 1")
            return

        connection.autocommit = True
        connection.execute("SELECT 1")
        connection.autocommit = False

    def keep(self) -> None:
        """Give it back."""
        self._pool.putconn(self._connection)

    def drop(self) -> None:
        """Give it back closed, for which the pool makes another."""
        self.driver.close()
        self._pool.putconn(self._connection)


class PoolSource:
    """The pool's connections, and new ones made as the pool makes its own."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    @property
    def secrets(self) -> Iterable[str]:
        """The password."""
        return secrets_of(self._pool)

    def levels(self) -> Levels | None:
        """Return how full the pool is."""
        return levels_of(self._pool)

    def borrow(self) -> Held | None:
        """Return a connection that lies ready."""
        pool = self._pool
        if not has_own_ready(pool):
            return None

        # Not `getconn`: a pool that checks what it lends would wait for one that hangs.
        take = getattr(pool, "_getconn_unchecked", pool.getconn)
        try:
            return _Lent(pool, take(TAKE_S))
        except Exception:  # noqa: BLE001 - somebody was faster, or the pool is closed
            return None

    def connect(self, seconds: float) -> Held:
        """Make a connection as the pool does."""
        conninfo, kwargs = arguments_of(self._pool, call=True)
        kind = self._pool.connection_class
        arguments = {**kwargs, "autocommit": True}
        made = connect_within(kind, seconds, conninfo, **arguments)
        return Own(cast("Pings", made))

    def run(self) -> CheckResult:
        """Run the check."""
        return check_database(self)


def has_own_ready(pool: BasePool) -> bool:
    """Tell whether a connection lies ready that this process made; take no lock."""
    try:
        first = pool._pool[0]  # noqa: SLF001
        return not is_inherited(time.monotonic() - first._created_at)  # noqa: SLF001
    except (AttributeError, IndexError):  # a later psycopg_pool's; there is none
        return False


def levels_of(pool: BasePool) -> Levels | None:
    """Return how full a pool is; None if it is not open."""
    if pool.closed:
        return None

    stats = pool.get_stats()
    return Levels(stats["pool_size"] - stats["pool_available"], stats["pool_max"])


def arguments_of(pool: BasePool, *, call: bool = False) -> tuple[Any, Any]:
    """
    Return what a pool connects with: the connection string, and the other arguments.

    Args:
        pool: The pool.
        call: Whether to ask the functions that it may have for them; an asynchronous
            pool's may return something to await.
    """
    conninfo, kwargs = getattr(pool, "conninfo", ""), getattr(pool, "kwargs", None)
    if callable(conninfo):
        conninfo = conninfo() if call else ""

    if callable(kwargs):
        kwargs = kwargs() if call else {}

    return conninfo or "", kwargs or {}


def secrets_of(pool: BasePool) -> tuple[str, ...]:
    """Return the password that a pool connects with, if it is a fixed one."""
    return (parts_of(*arguments_of(pool))["password"],)
