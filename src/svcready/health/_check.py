"""The declaration of health checks, which are plain data until a runtime starts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar, overload

from svcready._core.declarations import Register, check_name, name_of
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import CodeType

__all__ = ["CHECKS", "Check", "check"]

F = TypeVar("F", bound="Callable[[], object]")

_GENERATOR = 0x20  # the flags of code objects, as `inspect` names them
_COROUTINE = 0x80
_ITERABLE_COROUTINE = 0x100
_ASYNC_GENERATOR = 0x200


class Check(NamedTuple):
    """What code says of one check; None stands for what the settings say."""

    name: str
    function: Callable[[], object]
    critical: bool
    groups: tuple[str, ...]
    timeout_s: float | None
    interval_s: float | None
    fail_after: int | None
    recover_after: int | None
    private_loop: bool
    is_async: bool


CHECKS: Register[Check] = Register("health check")
"""Every check that the process declared."""


@overload
def check(name: F, /) -> F: ...


@overload
def check(
    name: str | None = None,
    *,
    critical: bool = False,
    groups: tuple[str, ...] = ("readiness",),
    timeout: float | timedelta | str | None = None,
    interval: float | timedelta | str | None = None,
    fail_after: int | None = None,
    recover_after: int | None = None,
    loop: str = "auto",
    force_liveness: bool = False,
) -> Callable[[F], F]: ...


def check(
    name: F | str | None = None,
    *,
    critical: bool = False,
    groups: tuple[str, ...] = ("readiness",),
    timeout: float | timedelta | str | None = None,
    interval: float | timedelta | str | None = None,
    fail_after: int | None = None,
    recover_after: int | None = None,
    loop: str = "auto",
    force_liveness: bool = False,
) -> F | Callable[[F], F]:
    """
    Declare a health check, which runs in the background while the service does.

    The function, plain or async, takes no arguments and is returned unchanged. It
    passes by returning None or True and fails by raising; `health.warn(...)` and
    `health.fail(...)` are results as well. Endpoints never run it.

    Args:
        name: 1-64 characters of `a-z 0-9 _ . -`; `module.qualname` if not given.
        critical: Whether its failure takes the service out of rotation, or only warns.
        groups: Which probes show it: `readiness`, `startup` (it must pass once), or
            names of probes of your own.
        timeout: Seconds (2), timedelta or `"250ms"`; a longer run has failed.
        interval: Seconds (10), timedelta or `"1m"` from run to run, ±10 %.
        fail_after: Failures in a row (3) that make it fail; the first counts at once.
        recover_after: Successes in a row (2) that make it pass again.
        loop: `auto`, the application's own, to which pools are bound, or `private`.
        force_liveness: Allows the group `liveness`: its failure kills the process.

    Raises:
        DeclarationError: An argument is wrong, or another function has the name. The
            same function declared again (by an application factory) replaces itself.
    """
    if callable(name):
        return check()(name)

    arguments = (
        bool(critical),
        _groups(groups, force=force_liveness),
        _seconds("timeout", timeout, 0.001),
        _seconds("interval", interval, 0.1),
        _count("fail_after", fail_after),
        _count("recover_after", recover_after),
        _private(loop),
    )

    def declare(function: F) -> F:
        is_async = _check_function(function)
        chosen = check_name("health check", name_of(function) if name is None else name)
        CHECKS.declare(
            chosen,
            (function, *arguments),
            lambda: Check(chosen, function, *arguments, is_async),
            replace=_is_same_function,
        )
        return function

    return declare


def _is_same_function(known: Check, new: Check) -> bool:
    # A factory makes a new function object of the same definition at each call.
    return _definition(known.function) == _definition(new.function)


def _definition(function: object) -> tuple[object, ...]:
    function = _unwrapped(function)
    code = getattr(function, "__code__", None)
    return (
        getattr(function, "__module__", None),
        getattr(function, "__qualname__", type(function).__qualname__),
        None if code is None else (code.co_filename, code.co_firstlineno),
    )


def _unwrapped(function: object) -> object:
    while isinstance(function, partial):
        function = function.func

    return function


def _check_function(function: object) -> bool:
    """Return whether *function* is a coroutine function; refuse what cannot be run."""
    if not callable(function):
        msg = f"health.check decorates a function, not {function!r}"
        raise DeclarationError(msg)

    inner = _unwrapped(function)
    call = inner if hasattr(inner, "__code__") else type(inner).__call__
    code = getattr(call, "__code__", None)
    if code is None:
        return False

    if code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
        msg = f"health check {name_of(function)} is a generator: use return, not yield"
        raise DeclarationError(msg)

    is_bound = call is not inner or getattr(inner, "__self__", None) is not None
    if inner is function and _needs_arguments(call, code, 1 if is_bound else 0):
        msg = f"health check {name_of(function)} has parameters, but takes none"
        raise DeclarationError(msg)

    return bool(code.co_flags & (_COROUTINE | _ITERABLE_COROUTINE))


def _needs_arguments(function: object, code: CodeType, given: int) -> bool:
    defaults = getattr(function, "__defaults__", None) or ()
    keyword_defaults = getattr(function, "__kwdefaults__", None) or {}
    return code.co_argcount > len(defaults) + given or code.co_kwonlyargcount > len(
        keyword_defaults
    )


def _groups(groups: object, *, force: bool) -> tuple[str, ...]:
    if not isinstance(groups, tuple | list | set | frozenset) or not groups:
        msg = f"health check groups={groups!r}: give a tuple of names"
        raise DeclarationError(msg)

    for group in groups:
        check_name("health group", group)

    if "liveness" in groups and not force:
        msg = (
            "a health check in the group 'liveness' has the process killed when it "
            "fails, which cures no dependency: leave it out, or say force_liveness=True"
        )
        raise DeclarationError(msg)

    return tuple(groups)


def _seconds(
    name: str, value: float | timedelta | str | None, low: float
) -> float | None:
    if value is None:
        return None

    from svcready.config._kinds import duration  # only where a value is given

    kind = duration(low, 86400.0)
    try:
        return kind.parse(value)
    except ValueError:
        msg = f"health check {name}={value!r} is not allowed: use {kind.allowed}"
        raise DeclarationError(msg) from None


def _count(name: str, value: int | None) -> int | None:
    if value is None or (type(value) is int and value >= 1):
        return value

    msg = f"health check {name}={value!r} is not allowed: use a whole number from 1"
    raise DeclarationError(msg)


def _private(loop: str) -> bool:
    if loop not in {"auto", "private"}:
        msg = f"health check loop={loop!r} is not allowed: use auto | private"
        raise DeclarationError(msg)

    return loop == "private"
