"""The five levels of the schema and the numbers that stdlib gives them."""

from __future__ import annotations

__all__ = ["LEVEL_NUMBERS", "level_name", "level_number"]

LEVEL_NUMBERS = {"DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
"""The schema's levels, by name."""

_NAMES = ("DEBUG", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_INPUT = {**LEVEL_NUMBERS, "WARNING": 30, "CRITICAL": 50}


def level_name(number: int) -> str:
    """Return the schema's level of stdlib's *number*; between two, the lower."""
    return _NAMES[min(max(number, 0) // 10, 5)]


def level_number(name: str | int) -> int:
    """
    Return stdlib's number of a level, which may be one of its own names.

    Raises:
        ValueError: No level is called so.
    """
    if isinstance(name, int):
        return name

    number = _INPUT.get(name.strip().upper())
    if number is None:
        msg = f"level {name!r} is not known: use {', '.join(_INPUT)}"
        raise ValueError(msg)

    return number
