"""What declarations of health take: functions and durations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from svcready.errors import DeclarationError
from svcready.health._subject import ReadyMade

if TYPE_CHECKING:
    from datetime import timedelta
    from types import CodeType

__all__ = ["code_of", "definition", "is_async", "seconds", "unwrapped"]

_GENERATOR = 0x20  # the flags of code objects, as `inspect` names them
_COROUTINE = 0x80
_ITERABLE_COROUTINE = 0x100
_ASYNC_GENERATOR = 0x200


def unwrapped(function: object) -> object:
    """Return the function inside partials."""
    while isinstance(function, partial):
        function = function.func

    return function


def definition(function: object) -> tuple[object, ...]:
    """Return what is the same of a function that a factory makes again."""
    function = unwrapped(function)
    if isinstance(function, ReadyMade):
        return (definition(function.run), function.target)

    code = getattr(function, "__code__", None)
    return (
        getattr(function, "__module__", None),
        getattr(function, "__qualname__", type(function).__qualname__),
        None if code is None else (code.co_filename, code.co_firstlineno),
    )


def code_of(function: object) -> tuple[object, CodeType | None]:
    """Return what a call of *function* runs, and its code if it has any."""
    call = function if hasattr(function, "__code__") else type(function).__call__
    return call, getattr(call, "__code__", None)


def is_async(function: object, what: str) -> bool:
    """
    Tell whether *function* is a coroutine function.

    Args:
        function: Anything that can be called.
        what: What it is to be, for the message: `health check database`.

    Raises:
        DeclarationError: It is a generator, which a call does not run.
    """
    _, code = code_of(unwrapped(function))
    if code is None:
        return False

    if code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        msg = f"{what} is a generator: use return, not yield"
        raise DeclarationError(msg)

    return bool(code.co_flags & (_COROUTINE | _ITERABLE_COROUTINE))


def seconds(
    what: str, value: float | timedelta | str | None, low: float
) -> float | None:
    """
    Return a duration in seconds; None if nothing is said.

    Args:
        what: What takes it, for the message: `health check timeout`.
        value: Seconds, timedelta or text.
        low: The shortest that is allowed.

    Raises:
        DeclarationError: It is no duration, or none that is allowed.
    """
    if value is None:
        return None

    from svcready.config._kinds import duration  # only where a value is given

    kind = duration(low, 86400.0)
    try:
        return kind.parse(value)
    except ValueError:
        msg = f"{what}={value!r} is not allowed: use {kind.allowed}"
        raise DeclarationError(msg) from None
