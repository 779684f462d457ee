"""The bounds above which a ready-made check warns and fails."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from svcready.config._kinds import Kind

__all__ = ["Bounds", "durations", "shares", "whole"]


class Bounds(NamedTuple):
    """Two bounds in one unit; infinite where there is none."""

    warn: float
    fail: float

    def judge(self, value: float) -> str:
        """Return `pass`, `warn` or `fail`, which wins over a later warning."""
        if value > self.fail:
            return "fail"

        return "warn" if value > self.warn else "pass"


def shares(warn_above: float | str | None, fail_above: float | str | None) -> Bounds:
    """
    Read bounds of a share.

    Args:
        warn_above: `"85%"` or 0.85; None for never.
        fail_above: The same.

    Raises:
        DeclarationError: One is no share.
    """
    from svcready.config._kinds import RATIO  # only where a check is declared

    read = _reader(RATIO)
    return Bounds(read("warn_above", warn_above), read("fail_above", fail_above))


def durations(
    warn_above: float | timedelta | str | None,
    fail_above: float | timedelta | str | None,
) -> Bounds:
    """
    Read bounds of a time, in seconds.

    Args:
        warn_above: Seconds, timedelta or `"100ms"`; None for never.
        fail_above: The same.

    Raises:
        DeclarationError: One is no time.
    """
    from svcready.config._kinds import duration

    read = _reader(duration(0.0, 86400.0))
    return Bounds(read("warn_above", warn_above), read("fail_above", fail_above))


def whole(name: str, value: object, low: int, high: int) -> int:
    """
    Return *value* if it is a whole number between two bounds.

    Raises:
        DeclarationError: It is not.
    """
    if type(value) is int and low <= value <= high:
        return value

    msg = f"{name}={value!r} is not allowed: use a whole number from {low} to {high}"
    raise DeclarationError(msg)


def _reader(kind: Kind[float]) -> Callable[[str, object], float]:
    def read(name: str, value: object) -> float:
        if value is None:
            return math.inf

        try:
            return kind.parse(value)
        except ValueError:
            msg = f"{name}={value!r} is not allowed: use {kind.allowed}"
            raise DeclarationError(msg) from None

    return read
