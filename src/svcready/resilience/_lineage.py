"""What an error is: its classes' names, as no library need be imported, and origin."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

__all__ = ["args_of", "attributes_of", "cause_of", "library_of", "lineage", "names_of"]

_MOST_CLASSES = 512


def names_of(kind: type) -> tuple[str, ...]:
    """
    Return the names of a class and of all that it descends from, its own first.

    Args:
        kind: Any class; of `psycopg.errors.DeadlockDetected` it is
            `psycopg.DeadlockDetected`, `psycopg.OperationalError` and so on: the
            library's name, and the class's.
    """
    return tuple(f"{library_of(base)}.{base.__name__}" for base in kind.__mro__)


def lineage(kind: type) -> frozenset[str]:
    """Return the same names without an order."""
    try:
        return _lineage(kind)
    except Exception:  # noqa: BLE001 - a class that is no key, by its own metaclass
        return frozenset(names_of(kind))


def library_of(kind: type) -> str:
    """Return the top-level package that a class is of."""
    return str(kind.__module__).partition(".")[0]


# As instances have them: an application's error may call something else so.
_ARGS, _CAUSE, _ATTRIBUTES = (
    vars(BaseException)[name] for name in ("args", "__cause__", "__dict__")
)


def args_of(error: BaseException) -> tuple[object, ...]:
    """Return what *error* was made of."""
    return cast("tuple[object, ...]", _ARGS.__get__(error))


def cause_of(error: BaseException) -> BaseException | None:
    """Return what *error* was raised from."""
    return cast("BaseException | None", _CAUSE.__get__(error))


def attributes_of(error: BaseException) -> dict[str, object]:
    """Return what *error* has of its own, where marks on it are kept too."""
    return cast("dict[str, object]", _ATTRIBUTES.__get__(error))


@lru_cache(_MOST_CLASSES)
def _lineage(kind: type) -> frozenset[str]:
    return frozenset(names_of(kind))
