"""Failed answers by name: what tells of an error's class shall say the status."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["named_by"]

E = TypeVar("E", bound=Exception)

_NAMED: dict[tuple[type[Exception], int], type[Exception]] = {}
_MOST = 2000  # a status has three digits


def named_by(status: int, kind: type[E]) -> type[E]:
    """
    Return *kind* under the name of a status: `HTTP503`.

    Args:
        status: The answer's.
        kind: A class of errors.
    """
    named = _NAMED.get((kind, status))
    if named is None:
        named = type(f"HTTP{status}", (kind,), {"__doc__": kind.__doc__})
        if len(_NAMED) < _MOST:
            _NAMED[kind, status] = named

    return named  # type: ignore[return-value]  # a subclass of what it was made of
