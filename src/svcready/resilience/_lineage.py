"""What a class descends from, told by names, so that no library need be imported."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["lineage", "names_of"]

_MOST_CLASSES = 512


def names_of(kind: type) -> tuple[str, ...]:
    """
    Return the names of a class and of all that it descends from, its own first.

    Args:
        kind: Any class; of `psycopg.errors.DeadlockDetected` it is
            `psycopg.DeadlockDetected`, `psycopg.OperationalError` and so on: the
            library's name, and the class's.
    """
    return tuple(
        f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__
    )


def lineage(kind: type) -> frozenset[str]:
    """Return the same names without an order."""
    return _lineage(kind)


@lru_cache(_MOST_CLASSES)
def _lineage(kind: type) -> frozenset[str]:
    return frozenset(names_of(kind))
