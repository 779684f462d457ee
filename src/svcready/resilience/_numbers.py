"""The numbers that policies are declared with, checked: durations, shares, counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

__all__ = ["Duration", "count", "factor", "ratio", "seconds"]

Duration: TypeAlias = "float | str | timedelta"
"""Seconds as a number, a timedelta, or text with a unit (`"250ms"`)."""

_LEAST_S = 0.001
_LONGEST_S = 30 * 86_400.0


def seconds(argument: str, value: Duration, *, low_s: float = _LEAST_S) -> float:
    """
    Return a duration that code gave, in seconds.

    Args:
        argument: Its name, for messages.
        value: What was given.
        low_s: The least that is allowed, in seconds.

    Raises:
        DeclarationError: It is no duration, or out of bounds.
    """
    total: Callable[[], float] | None = getattr(value, "total_seconds", None)
    if total is not None:  # a timedelta, without importing what makes them
        number = total()
    elif isinstance(value, str):
        from svcready.config._kinds import DURATION

        try:
            number = DURATION.parse(value)
        except ValueError:
            number = math.nan
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        number = math.nan

    if not low_s <= number <= _LONGEST_S:
        msg = (
            f"{argument}={value!r}: use seconds as a number, a timedelta, or text "
            f'with a unit such as "250ms", from {low_s:g} s to 30 days'
        )
        raise DeclarationError(msg)

    return number


def ratio(argument: str, value: float) -> float:
    """
    Return a share that code gave, above 0 and up to 1.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeclarationError(f"{argument}={value!r}: use a number above 0, up to 1")

    if not 0.0 < value <= 1.0:
        raise DeclarationError(f"{argument}={value!r}: use a number above 0, up to 1")

    return float(value)


def factor(argument: str, value: float) -> float:
    """
    Return how many times something, as code gave it, from 1 to 1000.

    Raises:
        DeclarationError: It is no number, or out of bounds.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 1.0 <= value <= 1000.0:
        raise DeclarationError(f"{argument}={value!r}: use a number from 1 to 1000")

    return float(value)


def count(argument: str, value: int, *, low: int = 1) -> int:
    """
    Return a whole number that code gave.

    Args:
        argument: Its name, for messages.
        value: What was given.
        low: The least that is allowed.

    Raises:
        DeclarationError: It is none, or out of bounds.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= 1_000_000
    ):
        msg = f"{argument}={value!r}: use a whole number from {low} to 1000000"
        raise DeclarationError(msg)

    return value
