"""Checks of PostgreSQL on psycopg's asynchronous connections and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svcready.health._running._loops import is_private
from svcready.health.checks._sql._databases import left_s
from svcready.health.checks._sql._databases_async import (
    ask_async,
    check_database_async,
    within,
)
from svcready.health.checks._sql._psycopg_pool import (
    TAKE_S,
    arguments_of,
    has_own_ready,
    levels_of,
    secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    from svcready.health._result import CheckResult
    from svcready.health.checks._sql._databases import Levels

__all__ = ["ask_made", "run_pool"]


async def run_pool(pool: AsyncConnectionPool) -> CheckResult:
    """Check the database behind an asynchronous pool."""
    return await check_database_async(_Pool(pool))


async def ask_made(made: Awaitable[AsyncConnection[Any]], end_s: float) -> None:
    """Ask the database on a connection that somebody's function makes."""
    connection = await within(made, left_s(end_s))
    await ask_async(_Own(connection), left_s(end_s))


class _Own:
    """A connection that the check made."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.driver = connection

    async def ping(self) -> None:
        """Have the server answer."""
        await self.driver.execute("SELECT 1")

    async def keep(self) -> None:
        """Close it."""
        await self.driver.close()

    async def drop(self) -> None:
        """Close it."""
        await self.driver.close()


class _Lent(_Own):
    """A connection of a pool."""

    def __init__(
        self, pool: AsyncConnectionPool, connection: AsyncConnection[Any]
    ) -> None:
        _Own.__init__(self, connection)
        self._pool = pool

    async def ping(self) -> None:
        """Have the server answer, and leave no transaction open."""
        connection = self.driver
        if connection.autocommit:
            await connection.execute("SELECT 1")
            return

        await connection.set_autocommit(True)
        await connection.execute("SELECT 1")
        await connection.set_autocommit(False)

    async def keep(self) -> None:
        """Give it back."""
        await self._pool.putconn(self.driver)

    async def drop(self) -> None:
        """Give it back closed, for which the pool makes another."""
        await self.driver.close()
        await self._pool.putconn(self.driver)


class _Pool:
    """The pool's connections, and new ones made as the pool makes its own."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    @property
    def secrets(self) -> Iterable[str]:
        """The password."""
        return secrets_of(self._pool)

    def levels(self) -> Levels | None:
        """Return how full the pool is."""
        return levels_of(self._pool)

    async def borrow(self) -> _Lent | None:
        """Return a connection that lies ready."""
        pool = self._pool
        if is_private() or not has_own_ready(pool):
            return None

        # Not `getconn`: a pool that checks what it lends would wait for one that hangs.
        take = getattr(pool, "_getconn_unchecked", pool.getconn)
        try:
            return _Lent(pool, await take(TAKE_S))
        except Exception:  # noqa: BLE001 - somebody was faster, or the pool is closed
            return None

    async def connect(self, _: float) -> _Own:
        """Make a connection as the pool does."""
        conninfo, kwargs = arguments_of(self._pool, call=True)
        if hasattr(conninfo, "__await__"):
            conninfo = await conninfo

        if hasattr(kwargs, "__await__"):
            kwargs = await kwargs

        kind = self._pool.connection_class
        return _Own(await kind.connect(conninfo, **{**kwargs, "autocommit": True}))
