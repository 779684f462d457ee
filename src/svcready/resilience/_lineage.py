"""What a class descends from, told by names, so that no library need be imported."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["lineage"]

_MOST_CLASSES = 512


def lineage(kind: type) -> frozenset[str]:
    """
    Return the names of a class and of all that it descends from.

    Args:
        kind: Any class; of `psycopg.errors.DeadlockDetected` it is
            `psycopg.DeadlockDetected`, `psycopg.OperationalError` and so on: the
            library's name, and the class's.
    """
    return _lineage(kind)


@lru_cache(_MOST_CLASSES)
def _lineage(kind: type) -> frozenset[str]:
    return frozenset(
        f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__
    )
