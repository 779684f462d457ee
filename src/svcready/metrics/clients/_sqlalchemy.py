"""
Metrics of SQLAlchemy's engines, sync and async.

Statements, commits and connections are measured where the engine hands them to its
dialect and its pool, by methods set on those two objects: a listener for statements
costs every query of the engine several times what measuring it does, because
SQLAlchemy leaves its fast path for it. What happens once for each loan of a connection
comes from the pool's public events.
"""

from __future__ import annotations

import os
import weakref
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from svcready.metrics.clients._database import Database, Pool, PoolLevels, system_of
from svcready.metrics.clients._shared import (
    Installed,
    error_type,
    instrument_all,
    new_level,
    quiet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import (
        ConnectionPoolEntry,
        PoolProxiedConnection,
        PoolResetState,
    )
    from sqlalchemy.pool import Pool as EnginePool

__all__ = ["instrument_engine", "instrument_every_engine"]

P = ParamSpec("P")
R = TypeVar("R")

# What a connection's entry in the pool carries of ours, in its dictionary for users.
_LENT, _RESETTING = "svcready.lent", "svcready.resetting"

_engines: Installed[Engine] = Installed()
_global: Installed[type[Engine]] = Installed()


def instrument_engine(
    engine: Engine | AsyncEngine, name: str | None = None
) -> Callable[[], None]:
    """
    Measure the queries and the pool of an SQLAlchemy engine.

    Args:
        engine: Sync or async. Again for the same one, it changes nothing.
        name: The pool's name in labels; by default the server's host and port and the
            database, never a user or password.

    Returns:
        What takes the instrumentation back.
    """
    root = _root(engine)
    return _engines.once(root, lambda target: _install(target, name))


def instrument_every_engine() -> Callable[[], None]:
    """
    Measure every engine that the process has and will have.

    Returns:
        What takes the instrumentation back, of all engines that it found.
    """
    from sqlalchemy import Engine

    return _global.once(
        Engine,
        lambda kind: instrument_all(
            kind, instrument_engine, lambda engine: _root(engine) in _engines
        ),
    )


def _root(engine: Engine | AsyncEngine) -> Engine:
    """Return the engine that owns the pool, of which others are views."""
    root = cast("Engine", getattr(engine, "sync_engine", engine))
    # `engine.execution_options()` gives a view of its parent's pool and dialect.
    while (proxied := getattr(root, "_proxied", None)) is not None:
        root = proxied

    return root


def _install(engine: Engine, name: str | None) -> Callable[[Engine], None]:
    from sqlalchemy import event
    from sqlalchemy.exc import TimeoutError as PoolTimeout

    watch = _Watch(engine, name or _name(engine), PoolTimeout)
    hooks: tuple[tuple[str, Callable[..., None]], ...] = (
        ("checkout", watch.lent),
        ("checkin", watch.returned),
        ("reset", watch.resetting),
        ("invalidate", watch.invalidated),
    )
    for identifier, hook in hooks:
        event.listen(engine, identifier, hook)

    watch.measure_dialect(engine.dialect)
    watch.measure_pool(engine.pool)
    watch.pool.watch(watch.levels)

    def remove(engine: Engine) -> None:
        watch.active = False
        watch.forget(engine.dialect)
        watch.forget(engine.pool)
        for identifier, hook in hooks:
            event.remove(engine, identifier, hook)

    return remove


def _name(engine: Engine) -> str:
    url = engine.url
    database = _database(engine)
    if not url.host:
        return database or engine.dialect.name

    port = f":{url.port}" if url.port else ""
    return f"{url.host}{port}/{database}"


def _database(engine: Engine) -> str:
    database = engine.url.database or ""
    if engine.dialect.name == "sqlite":
        return os.path.basename(database) or ":memory:"  # noqa: PTH119 - a URL's part

    return database


class _Watch:
    """What is told of one engine's doings; it does not keep the engine alive."""

    def __init__(
        self, engine: Engine, name: str, pool_timeout: type[Exception]
    ) -> None:
        self._engine = weakref.ref(engine)
        self._pool_timeout = pool_timeout
        self._database = Database(
            system_of(engine.dialect.name), _database(engine), engine.url.host or ""
        )
        self.pool = Pool.named(name)
        self._times = self.pool.recorders()
        self._clock = self._database.watch
        self._pending = new_level()
        self._lent = new_level()
        self.active = True

    def measure_dialect(self, dialect: Dialect) -> None:
        """Measure what the engine hands to its *dialect*."""
        methods = vars(dialect)
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            methods[name] = self._executing(getattr(dialect, name))

        methods["do_commit"] = partial(self._commit, dialect.do_commit)
        methods["do_rollback"] = partial(self._roll_back, dialect.do_rollback)
        methods["connect"] = self._connecting(dialect.connect)

    def measure_pool(self, pool: EnginePool) -> None:
        """Measure the waits for *pool*, and for what replaces it after a dispose."""
        if self.active:
            # They keep the pool alive as its own methods do: `creator=pool.connect` may
            # be all that somebody has of it.
            vars(pool)["connect"] = self._waiting(pool.connect)
            vars(pool)["recreate"] = partial(self._recreate, pool.recreate)

    def forget(self, thing: Dialect | EnginePool) -> None:
        """Give a dialect or pool its own methods back."""
        for name, value in tuple(vars(thing).items()):
            if getattr(getattr(value, "func", value), "__module__", "") == __name__:
                del vars(thing)[name]

    def lent(
        self, _: object, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        """Note when a connection is lent out."""
        with quiet:
            info = entry.record_info
            if info is not None:
                if _LENT not in info:  # else it is lent again, after it was found dead
                    self._lent.inc()

                info[_LENT] = self._clock.now()

    def returned(self, _: object, entry: ConnectionPoolEntry) -> None:
        """Record how long a connection was lent out."""
        with quiet:
            lent_s = (entry.record_info or {}).pop(_LENT, None)
            if lent_s is not None:
                self._lent.dec()
                self._times.use(self._clock.now() - lent_s)

    def resetting(
        self, _: object, entry: ConnectionPoolEntry, state: PoolResetState
    ) -> None:
        """Note that the next rollback is the pool's own, with nothing to undo."""
        with quiet:
            if entry.record_info is not None and not state.transaction_was_reset:
                entry.record_info[_RESETTING] = True

    def invalidated(
        self, _: object, _entry: ConnectionPoolEntry, error: BaseException | None
    ) -> None:
        """Count a connection that broke; one that the application gave up is none."""
        if error is not None:
            self._times.lost.inc()

    def levels(self) -> PoolLevels | None:
        """Return what the engine's pool holds; None once that is gone."""
        engine = self._engine()
        if engine is None or not self.active:
            return None

        from sqlalchemy.pool import QueuePool

        pool = engine.pool
        pending = self._pending.read() or 0
        if not isinstance(pool, QueuePool):  # it keeps no connections, or no count
            return PoolLevels(self._lent.read() or 0, pending=pending)

        most_idle = pool.size()
        overflow = getattr(pool, "_max_overflow", -1)
        return PoolLevels(
            used=pool.checkedout(),
            idle=pool.checkedin(),
            most=most_idle + overflow if overflow >= 0 else None,
            most_idle=most_idle or None,
            pending=pending,
        )

    def _executing(self, inner: Callable[..., None]) -> Callable[..., None]:
        database, clock = self._database, self._clock

        def execute(
            cursor: object, statement: object, *rest: object, **named: object
        ) -> None:
            started_s = clock.now()
            try:
                inner(cursor, statement, *rest, **named)
            except BaseException as error:
                with quiet:
                    seconds = clock.now() - started_s
                    database.took(statement, seconds, error_type(error))

                raise

            with quiet:
                database.took(statement, clock.now() - started_s)

        return execute

    def _commit(self, inner: Callable[..., None], connection: object) -> None:
        inner(connection)
        self._database.committed()

    def _roll_back(
        self, inner: Callable[..., None], connection: PoolProxiedConnection
    ) -> None:
        inner(connection)
        with quiet:
            info = connection.record_info or {}
            # Not lent out: the dialect looks at the server's first connection.
            if not info.pop(_RESETTING, False) and _LENT in info:
                self._database.rolled_back()

    def _connecting(self, inner: Callable[P, R]) -> Callable[P, R]:
        clock, create = self._clock, self._times.create

        def connect(*args: P.args, **kwargs: P.kwargs) -> R:
            started_s = clock.now()
            connection = inner(*args, **kwargs)
            create(clock.now() - started_s)
            return connection

        return connect

    def _recreate(self, inner: Callable[[], EnginePool]) -> EnginePool:
        made = inner()
        with quiet:
            self.measure_pool(made)

        return made

    def _waiting(
        self, inner: Callable[[], PoolProxiedConnection]
    ) -> Callable[[], object]:
        times, pending, clock = self._times, self._pending, self._clock
        timeout = self._pool_timeout

        def connect() -> PoolProxiedConnection:
            pending.inc()
            started_s = clock.now()
            try:
                connection = inner()
            except Exception as error:
                (times.timeout if isinstance(error, timeout) else times.refused).inc()
                raise
            finally:
                pending.dec()

            times.wait(clock.now() - started_s)
            return connection

        return connect
