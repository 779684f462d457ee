"""Metrics of psycopg's pools of connections, sync and async."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready.metrics.clients._database import Pool, PoolLevels
from svcready.metrics.clients._shared import Installed, instrument_all, quiet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg_pool.base import BasePool

__all__ = ["instrument_every_pool", "instrument_pool"]

_LENT = "_svcready_lent_s"
_METHODS = ("getconn", "putconn")

_pools: Installed[BasePool] = Installed()
_global: Installed[type[BasePool]] = Installed()


def instrument_pool(pool: BasePool, name: str | None = None) -> Callable[[], None]:
    """
    Measure a pool of psycopg_pool: its levels, and the waits for its connections.

    Args:
        pool: Sync or async, null pools as well. Again for the same one, it changes
            nothing.
        name: The pool's name in labels; by default the one that it has itself.

    Returns:
        What takes the instrumentation back.
    """
    return _pools.once(pool, lambda target: _install(target, name))


def instrument_every_pool() -> Callable[[], None]:
    """
    Measure every pool that the process has and will have.

    Returns:
        What takes the instrumentation back, of all pools that it found.
    """
    from psycopg_pool import AsyncConnectionPool, ConnectionPool
    from psycopg_pool.base import BasePool

    def install(_: type[BasePool]) -> Callable[[type[BasePool]], None]:
        # A pool knows its levels when its own `__init__` is done, not its base's.
        removes = [
            instrument_all(kind, instrument_pool, _pools.__contains__)
            for kind in (ConnectionPool, AsyncConnectionPool)
        ]

        def remove(_: type[BasePool]) -> None:
            for each in removes:
                each(None)

        return remove

    return _global.once(BasePool, install)


def _install(pool: BasePool, name: str | None) -> Callable[[BasePool], None]:
    from psycopg_pool import AsyncConnectionPool, PoolTimeout

    watch = _Watch(pool, name or pool.name, PoolTimeout)
    get = watch.get_async if isinstance(pool, AsyncConnectionPool) else watch.get
    vars(pool)["getconn"] = _measured(pool, "getconn", get)
    vars(pool)["putconn"] = _measured(pool, "putconn", watch.put)
    watch.pool.watch(watch.levels)

    def remove(pool: BasePool) -> None:
        watch.active = False
        for method in _METHODS:
            vars(pool).pop(method, None)

    return remove


def _measured(
    pool: BasePool, method: str, measure: Callable[..., object]
) -> Callable[..., object]:
    """
    Return the pool's *method*, measured.

    As a bound method does, it keeps the pool alive: `creator=pool.getconn` may be all
    that SQLAlchemy has of it.
    """
    return partial(measure, getattr(pool, method))


class _Watch:
    """What is told of one pool's doings; it does not keep the pool alive."""

    def __init__(
        self, pool: BasePool, name: str, pool_timeout: type[Exception]
    ) -> None:
        self._reference = weakref.ref(pool)
        self._timeout = pool_timeout
        self.pool = Pool.named(name)
        self._times = self.pool.recorders()
        self._clock = self._times.watch
        self._told = (0, 0)
        self._lock = threading.Lock()
        self.active = True
        fork.reset_in_child(self._reset_lock)

    def get(self, inner: Callable[..., object], *args: object, **kw: object) -> object:
        """Get a connection, measured."""
        started_s = self._clock.now()
        try:
            connection = inner(*args, **kw)
        except self._timeout:
            self._times.timeout.inc()
            raise

        self._got(connection, started_s)
        return connection

    async def get_async(
        self, inner: Callable[..., Awaitable[object]], *args: object, **kw: object
    ) -> object:
        """Get a connection of an async pool, measured."""
        started_s = self._clock.now()
        try:
            connection = await inner(*args, **kw)
        except self._timeout:
            self._times.timeout.inc()
            raise

        self._got(connection, started_s)
        return connection

    def put(self, inner: Callable[..., object], conn: object) -> object:
        """Give a connection back, measured; of an async pool, to be awaited."""
        self._returned(conn)
        return inner(conn)

    def levels(self) -> PoolLevels | None:
        """Return what the pool says of itself; None once it is gone."""
        pool = self._reference()
        if pool is None or not self.active:
            return None

        stats = pool.get_stats()
        self._count(
            stats.get("connections_errors", 0), stats.get("connections_lost", 0)
        )
        size, available = stats["pool_size"], stats["pool_available"]
        return PoolLevels(
            used=max(0, size - available),
            idle=available,
            most=stats["pool_max"] or None,
            pending=stats.get("requests_waiting", 0),
        )

    def _got(self, connection: object, started_s: float) -> None:
        with quiet:
            now_s = vars(connection)[_LENT] = self._clock.now()
            self._times.wait(now_s - started_s)

    def _returned(self, connection: object) -> None:
        with quiet:
            lent_s = vars(connection).pop(_LENT, None)
            if lent_s is not None:
                self._times.use(self._clock.now() - lent_s)

    def _count(self, refused: int, lost: int) -> None:
        """Add what the pool counted since the last time, by itself."""
        with self._lock:
            before, self._told = self._told, (refused, lost)

        for total, old, counter in (
            (refused, before[0], self._times.refused),
            (lost, before[1], self._times.lost),
        ):
            # The application may have had the pool start from zero (`pop_stats`).
            counter.inc(total - old if total >= old else total)

    def _reset_lock(self) -> None:
        self._lock = threading.Lock()
