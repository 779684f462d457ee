"""The declaration of health checks, which are plain data until a runtime starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar, overload

from svcready._core.declarations import Register, check_name, name_of
from svcready.errors import DeclarationError
from svcready.health._arguments import code_of, definition, is_async, seconds, unwrapped
from svcready.health._subject import ReadyMade

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import CodeType

__all__ = ["CHECKS", "CRITICALITIES", "Check", "check"]

CRITICALITIES = ("critical", "degraded", "informational")
"""What the failure of a check does: takes out of rotation, warns, nothing."""

F = TypeVar("F", bound="Callable[[], object]")


class Check(NamedTuple):
    """What code says of one check; None stands for what the settings say."""

    name: str
    function: Callable[[], object]
    criticality: str
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
    critical: bool | None = None,
    criticality: str | None = None,
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
    critical: bool | None = None,
    criticality: str | None = None,
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
        critical: Whether its failure takes the service out of rotation, or only warns:
            short for the criticalities `critical` and `degraded`.
        criticality: `critical`, `degraded` (the default) or `informational`, which is
            reported and measured and changes no probe.
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
        _criticality(criticality, critical=critical),
        _groups(groups, force=force_liveness),
        seconds("health check timeout", timeout, 0.001),
        seconds("health check interval", interval, 0.1),
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
    if isinstance(known.function, ReadyMade) and known.function.found:
        return True  # nobody declared it

    # A factory makes a new function object of the same definition at each call.
    return definition(known.function) == definition(new.function)


def _check_function(function: object) -> bool:
    """Return whether *function* is a coroutine function; refuse what cannot be run."""
    if not callable(function):
        msg = f"health.check decorates a function, not {function!r}"
        raise DeclarationError(msg)

    inner = unwrapped(function)
    if isinstance(inner, ReadyMade):
        inner = unwrapped(inner.run)

    waits = is_async(inner, f"health check {name_of(function)}")
    call, code = code_of(inner)
    is_bound = call is not inner or getattr(inner, "__self__", None) is not None
    if (
        code is not None
        and inner is function
        and _needs_arguments(call, code, 1 if is_bound else 0)
    ):
        msg = f"health check {name_of(function)} has parameters, but takes none"
        raise DeclarationError(msg)

    return waits


def _needs_arguments(function: object, code: CodeType, given: int) -> bool:
    defaults = getattr(function, "__defaults__", None) or ()
    keyword_defaults = getattr(function, "__kwdefaults__", None) or {}
    return code.co_argcount > len(defaults) + given or code.co_kwonlyargcount > len(
        keyword_defaults
    )


def _criticality(criticality: str | None, *, critical: bool | None) -> str:
    if criticality is None:
        return "critical" if critical else "degraded"

    if criticality not in CRITICALITIES:
        msg = (
            f"health check criticality={criticality!r} is not allowed: use "
            f"{' | '.join(CRITICALITIES)}"
        )
        raise DeclarationError(msg)

    if critical is not None and bool(critical) != (criticality == "critical"):
        msg = (
            f"health check critical={critical!r} contradicts criticality="
            f"{criticality!r}: give one of them"
        )
        raise DeclarationError(msg)

    return criticality


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
