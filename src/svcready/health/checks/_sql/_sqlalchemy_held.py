"""The connections of SQLAlchemy's engines that a check has, borrowed or its own."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from svcready.health.checks._forked import is_inherited

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import Pool
    from sqlalchemy.pool.base import _ConnectionFairy, _ConnectionRecord

__all__ = ["LentByPool", "MadeByCheck", "take_ready"]


class MadeByCheck:
    """A connection that the check made."""

    def __init__(self, dialect: Dialect, connection: DBAPIConnection) -> None:
        self._dialect = dialect
        self._connection = connection
        self.driver: object = _driver(dialect, connection)

    def ping(self) -> None:
        """Have the server answer, in the words of its dialect."""
        self._dialect.do_ping(self._connection)

    def keep(self) -> None:
        """Close it."""
        self._dialect.do_close(self._connection)

    def drop(self) -> None:
        """Close it without a word to the server, where the driver can."""
        with suppress(Exception):  # it was lost already
            self._dialect.do_terminate(self._connection)


class LentByPool:
    """
    A connection of the pool.

    Args:
        pool: The pool.
        record: Its entry, out of the pool's queue.
    """

    def __init__(self, pool: Pool, record: _ConnectionRecord) -> None:
        from sqlalchemy.pool.base import _ConnectionFairy

        self._pool = pool
        self._record = record
        # Looked up here, where a release that has them no more has lost nothing yet.
        self._check_out = _ConnectionFairy._checkout  # noqa: SLF001
        self._give_up = record._checkin_failed  # noqa: SLF001
        self._lent: _ConnectionFairy | None = None
        self._left = False
        connection = cast("DBAPIConnection", record.dbapi_connection)
        self.driver: object = _driver(pool._dialect, connection)  # noqa: SLF001

    def ping(self) -> None:
        """Have the pool lend it, as to anybody, and the server answer."""
        self._lent = self._check_out(cast("Pool", _Ready(self._pool, self._leave)))
        self._left = False
        connection = self._lent.dbapi_connection
        self._pool._dialect.do_ping(connection)  # type: ignore[union-attr]  # noqa: SLF001

    def _leave(self) -> _ConnectionRecord:
        self._left = True  # the pool takes back what it fails to lend
        return self._record

    def keep(self) -> None:
        """Give it back."""
        if self._lent is not None:
            self._lent.close()

    def drop(self) -> None:
        """Have the pool close it, and make another when it needs one."""
        if self._lent is not None:
            self._lent.invalidate()
        elif not self._left:
            self._give_up(
                ConnectionError("the health check found it dead"),
                _fairy_was_created=False,
            )


class _Ready:
    """A pool that lends one connection, which was taken from it, without a ping."""

    def __init__(self, pool: Pool, take: Callable[[], _ConnectionRecord]) -> None:
        self._svcready_pool = pool
        self._svcready_take = take
        self._pre_ping = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._svcready_pool, name)

    def _do_get(self) -> _ConnectionRecord:
        return self._svcready_take()


def take_ready(pool: Pool) -> LentByPool | None:
    """Take what this process connected out of a pool's queue, if it is there."""
    from sqlalchemy.util import queue

    waiting = pool._pool  # type: ignore[attr-defined]  # noqa: SLF001
    give_back = pool._do_return_conn  # noqa: SLF001
    for _ in range(waiting.qsize()):
        try:
            record: _ConnectionRecord = waiting.get(False)
        except queue.Empty:
            return None

        lent = None
        try:
            if _is_connected(pool, record):
                lent = LentByPool(pool, record)
        finally:  # whatever another release has inside, the pool loses nothing
            if lent is None:
                give_back(record)

        if lent is not None:
            return lent

    return None


def _is_connected(pool: Pool, record: _ConnectionRecord) -> bool:
    """Tell whether the pool would lend it as it is, instead of connecting anew."""
    if record._is_hard_or_soft_invalidated():  # noqa: SLF001
        return False

    age_s = time.time() - record.starttime
    if is_inherited(age_s):
        return False

    recycle_s: int = pool._recycle  # noqa: SLF001
    # A second early: it is not to be closed and made anew in the middle of the check.
    return recycle_s < 0 or age_s < recycle_s - 1


def _driver(dialect: object, connection: DBAPIConnection) -> object:
    return dialect.get_driver_connection(connection)  # type: ignore[attr-defined]
