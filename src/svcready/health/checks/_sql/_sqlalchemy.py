"""The check of a database by an SQLAlchemy engine, sync or async."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready.health._running._loops import is_private
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._databases import (
    Levels,
    check_database,
    require_file,
    target_of,
)
from svcready.health.checks._sql._sqlalchemy_connecting import (
    bound_connecting,
    connect_as,
)
from svcready.health.checks._sql._sqlalchemy_held import (
    MadeByCheck,
    take_ready,
)
from svcready.health.checks._subjects import refuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias, Unpack

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from svcready.health._result import CheckResult
    from svcready.health.checks._adding import Options
    from svcready.health.checks._sql._databases import Held

    Bound: TypeAlias = (
        Engine
        | AsyncEngine
        | sessionmaker[Session]
        | async_sessionmaker[AsyncSession]
        | Session
        | AsyncSession
    )

__all__ = ["EngineSource", "add_engine", "describe", "root_of", "run_of"]


def add_engine(
    engine: Bound, *, name: str | None = None, **options: Unpack[Options]
) -> None:
    """
    Check that the database of an SQLAlchemy engine answers.

    A connection that lies ready in the engine's pool is asked and given back. With none
    ready the check makes one of its own, outside the pool, and warns if the pool is
    exhausted; it never queues.

    Args:
        engine: Sync or async; or a session or its maker, for the engine it is bound to.
        name: `sqlalchemy.<database>` if not given.
        options: As for `health.check`.

    Raises:
        DeclarationError: An option is wrong, or another check has the name.
    """
    from svcready.health.checks import _found

    root = root_of(engine)
    database, target = describe(root)
    _found.claim(root)
    add(
        name or derive_name("sqlalchemy", database),
        ReadyMade(run_of(EngineSource(root)), kind="datastore", target=target),
        options,
    )


def root_of(bound: Bound) -> Engine:
    """
    Return the sync engine that has the pool, of which others are views.

    Raises:
        DeclarationError: It is no engine, and is bound to none.
    """
    from sqlalchemy import Engine

    kw = getattr(bound, "kw", None)  # a maker of sessions
    found = kw.get("bind") if isinstance(kw, dict) else getattr(bound, "bind", bound)
    found = getattr(found, "sync_engine", found)
    while (proxied := getattr(found, "_proxied", None)) is not None:
        found = proxied

    if not isinstance(found, Engine):
        raise refuse("add_engine", "an engine or what is bound to one", bound)

    return found


def describe(engine: Engine) -> tuple[str, str]:
    """Return the name of an engine's database, and where it is, without secrets."""
    url, system = engine.url, engine.dialect.name
    database = url.database or ""
    if system == "sqlite":
        target = target_of(system, "", None, database)
        return os.path.basename(database).partition("?")[0] or "memory", target  # noqa: PTH119 - a URL's part

    hosts = url.query.get("host", "")
    host = url.host or (hosts if isinstance(hosts, str) else ",".join(hosts))
    return database or system, target_of(system, host, url.port, database)


def run_of(source: EngineSource) -> Callable[[], object]:
    """Return the function of the check, plain or async as the engine is."""
    if not source.is_async:
        return source.run

    from svcready.health.checks._sql._sqlalchemy_async import AsyncEngineSource

    return AsyncEngineSource(source).run


class EngineSource:
    """
    The connections in an engine's pool, and new ones made as the engine makes its own.

    Args:
        engine: A sync engine, which may be the inner one of an async engine: then its
            methods are to be called in SQLAlchemy's greenlets.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_async = engine.dialect.is_async
        if not self.is_async:
            bound_connecting(engine.dialect)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password."""
        password = self.engine.url.password
        return (str(password),) if password else ()

    def levels(self) -> Levels | None:
        """Return how full the pool is."""
        from sqlalchemy.pool import QueuePool

        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            return None

        overflow: int = getattr(pool, "_max_overflow", -1)
        if overflow < 0 or not pool.size():
            return None

        return Levels(pool.checkedout(), pool.size() + overflow)

    def borrow(self) -> Held | None:
        """Return a connection that lies ready in the pool."""
        from sqlalchemy.pool import QueuePool

        pool = self.engine.pool
        # What other pools hold is bound to one thread, or in use by it right now.
        if not isinstance(pool, QueuePool) or (self.is_async and is_private()):
            return None

        return take_ready(pool)

    def connect(self, seconds: float) -> Held:
        """Make a connection as the engine does."""
        if self.engine.dialect.name == "sqlite":
            require_file(self.engine.url.database)

        made = connect_as(self.engine, seconds)
        return MadeByCheck(self.engine.dialect, made)

    def run(self) -> CheckResult:
        """Run the check."""
        return check_database(self)
