"""The check of a database by an asynchronous SQLAlchemy engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health.checks._sql._databases_async import check_database_async

if TYPE_CHECKING:
    from svcready.health._result import CheckResult
    from svcready.health.checks._sql._databases import Held, Levels
    from svcready.health.checks._sql._sqlalchemy import EngineSource

__all__ = ["AsyncEngineSource"]


class AsyncEngineSource:
    """
    An engine's connections, each step with them in a greenlet of SQLAlchemy's.

    Args:
        source: Of the inner engine.
    """

    def __init__(self, source: EngineSource) -> None:
        self._source = source

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password."""
        return self._source.secrets

    def levels(self) -> Levels | None:
        """Return how full the pool is."""
        return self._source.levels()

    async def borrow(self) -> _Spawned | None:
        """Return a connection that lies ready in the pool."""
        held = self._source.borrow()
        return None if held is None else _Spawned(held)

    async def connect(self, seconds: float) -> _Spawned:
        """Make a connection as the engine does."""
        from sqlalchemy.util import greenlet_spawn

        return _Spawned(await greenlet_spawn(self._source.connect, seconds))

    async def run(self) -> CheckResult:
        """Run the check."""
        return await check_database_async(self)


class _Spawned:
    """A connection that the check has."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.driver = held.driver

    async def ping(self) -> None:
        """Have the server answer."""
        from sqlalchemy.util import greenlet_spawn

        await greenlet_spawn(self._held.ping)

    async def keep(self) -> None:
        """Give it back, or close it."""
        from sqlalchemy.util import greenlet_spawn

        await greenlet_spawn(self._held.keep)

    async def drop(self) -> None:
        """Close it, whatever the server says."""
        from sqlalchemy.util import greenlet_spawn

        await greenlet_spawn(self._held.drop)
