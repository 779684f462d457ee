"""Pools of connections that are used up, which the database has no part in."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol, cast

from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ["holders", "is_saturated"]

_FULL = (
    "sqlalchemy.TimeoutError",
    "psycopg_pool.TooManyRequests",
    "psycopg_pool.PoolClosed",
)
_MARK = "__svcready_pool__"
_FAILED: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()
"""By pool, how many connections had failed to open when it was last looked at."""


class _Counted(Protocol):
    """A pool of psycopg's."""

    def get_stats(self) -> Mapping[str, int]:
        """Return what it counts."""
        ...


def is_saturated(error: Exception, kinds: frozenset[str]) -> bool:
    """
    Tell whether a call got no connection because the others have them all.

    A pool of psycopg's says the same where its connections fail to open; then it is
    the database's doing.
    """
    if not kinds.isdisjoint(_FULL):
        return True

    if "builtins.TimeoutError" in kinds:
        return any("asyncpg.Pool" in lineage(type(each)) for each in holders(error))

    if "psycopg_pool.PoolTimeout" not in kinds:
        return False

    # Asked more than once of one error, the answer stays.
    known: bool | None = error.__dict__.get(_MARK)
    if known is None:
        known = error.__dict__[_MARK] = not _can_open_none(error)

    return known


def holders(error: BaseException) -> Iterator[object]:
    """Give the objects whose methods an error came through, the innermost last."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        holder = trace.tb_frame.f_locals.get("self")
        if holder is not None:
            yield holder

        trace = trace.tb_next


def _can_open_none(error: Exception) -> bool:
    for pool in holders(error):
        if "psycopg_pool.BasePool" not in lineage(type(pool)):
            continue

        failed = cast("_Counted", pool).get_stats().get("connections_errors", 0)
        before, _FAILED[pool] = _FAILED.get(pool, 0), failed
        return bool(failed > before)

    return False
