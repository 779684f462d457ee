"""A failure fifteen frames down, as a service's own layers make one."""

from __future__ import annotations

DEPTH = 15


def fail() -> None:
    """Raise a connection error from `DEPTH` frames, this one included."""
    _accept(DEPTH - 2)


def _accept(left: int) -> None:
    if left:
        _validate(left - 1)

    raise ConnectionError("payments: connection refused")


def _validate(left: int) -> None:
    if left:
        _charge(left - 1)

    raise ConnectionError("payments: connection refused")


def _charge(left: int) -> None:
    if left:
        _accept(left - 1)

    raise ConnectionError("payments: connection refused")
