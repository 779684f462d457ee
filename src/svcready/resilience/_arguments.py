"""What retries and breakers are declared with, and which errors count."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from svcready._core.guard import report_foreign
from svcready.errors import DeclarationError
from svcready.resilience._config import BreakerConfig, RetryConfig
from svcready.resilience._layering._kinds import Kind, kind_of
from svcready.resilience._numbers import count, ratio, seconds
from svcready.resilience._retrying._budget import RATIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._numbers import Duration

__all__ = [
    "Errors",
    "Matcher",
    "breaker_config",
    "check_plain",
    "retry_config",
    "source_of",
]

Errors: TypeAlias = (
    "type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]"
)
"""A class of exceptions, several, or a function that says yes to one."""


class Matcher:
    """
    Says whether an error is of those that an argument names.

    Two are equal if they name the same classes, or functions made from the same
    lines over the same values, so that a declaration that runs again (in an
    application factory) equals itself.

    Args:
        argument: The argument's name, for messages.
        errors: What the code gave.

    Raises:
        DeclarationError: It names nothing that an `except Exception` would catch.
    """

    __slots__ = ("_argument", "_key", "_predicate", "_types")

    def __init__(self, argument: str, errors: Errors) -> None:
        self._argument = argument
        given: object = errors
        self._types: tuple[type[Exception], ...] = ()
        self._predicate: Callable[[Exception], bool] | None = None
        if isinstance(errors, type | tuple):
            self._types = errors if isinstance(errors, tuple) else (errors,)
            for kind in self._types:
                self._check(kind)

            self._key: object = frozenset(self._types)
        elif callable(given):
            check_plain(argument, given)
            self._predicate = errors
            self._key = source_of(errors)
        else:
            msg = (
                f"{argument}={given!r}: use an exception class, a tuple of them, or "
                "a function that takes the exception and returns True or False"
            )
            raise DeclarationError(msg)

    def __call__(self, error: Exception) -> bool:
        """Return whether *error* is meant; a function that fails says no."""
        if self._predicate is None:
            return isinstance(error, self._types)

        try:
            return bool(self._predicate(error))
        except Exception as fault:  # noqa: BLE001 - the call's own error must get out
            report_foreign(f"resilience.{self._argument}", fault)
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and self._key == other._key

    __hash__ = None  # type: ignore[assignment]  # closures may hold anything

    def _check(self, kind: object) -> None:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            msg = (
                f"{self._argument} names {kind!r}: use subclasses of Exception; "
                "cancellation and exits always pass"
            )
            raise DeclarationError(msg)


def check_plain(argument: str, function: Callable[..., object]) -> None:
    """
    See that *function* answers when it is called.

    Raises:
        DeclarationError: What it returns has to be awaited or iterated, which nobody
            does: it would be taken for a yes.
    """
    if kind_of(function) is not Kind.PLAIN:
        raise DeclarationError(
            f"{argument}={function!r}: nobody awaits or iterates what it returns; use "
            "a plain function"
        )


def source_of(function: Callable[[Exception], object] | None) -> object:
    """Return what two functions made by the same lines over the same values share."""
    code = getattr(function, "__code__", None)
    if code is None or getattr(function, "__self__", None) is not None:
        return function

    return (
        code,
        getattr(function, "__defaults__", None),
        getattr(function, "__kwdefaults__", None),
        getattr(function, "__closure__", None),
    )


def retry_config(
    *,
    attempts: int,
    wait_base: Duration,
    wait_max: Duration,
    deadline: Duration | None,
    budget: bool = True,
) -> RetryConfig:
    """
    Return the numbers of a retry as code gave them.

    Raises:
        DeclarationError: One is wrong, or two contradict each other.
    """
    config = RetryConfig(
        attempts=count("attempts", attempts),
        base_s=seconds("wait_base", wait_base),
        max_s=seconds("wait_max", wait_max),
        deadline_s=None if deadline is None else seconds("deadline", deadline),
        budget_ratio=RATIO if budget else None,
    )
    if config.base_s > config.max_s:
        raise DeclarationError(
            f"wait_base={wait_base!r} is above wait_max={wait_max!r}"
        )

    return config


def breaker_config(
    *,
    failure_rate: float,
    min_calls: int,
    window: Duration,
    consecutive_failures: int | None,
    slow_after: Duration | None,
    slow_rate: float,
    open_for: Duration,
    open_max: Duration,
    probes: int,
    probe_lease: Duration,
) -> BreakerConfig:
    """
    Return the numbers of a circuit breaker as code gave them.

    Raises:
        DeclarationError: One is wrong, or two contradict each other.
    """
    limit, slow = consecutive_failures, slow_after
    config = BreakerConfig(
        failure_rate=ratio("failure_rate", failure_rate),
        min_calls=count("min_calls", min_calls),
        window_s=seconds("window", window, low_s=1.0),
        consecutive_failures=(
            None if limit is None else count("consecutive_failures", limit)
        ),
        slow_after_s=None if slow is None else seconds("slow_after", slow),
        slow_rate=ratio("slow_rate", slow_rate),
        open_s=seconds("open_for", open_for),
        open_max_s=seconds("open_max", open_max),
        probes=count("probes", probes),
        probe_lease_s=seconds("probe_lease", probe_lease),
    )
    if config.open_s > config.open_max_s:
        raise DeclarationError(f"open_for={open_for!r} is above open_max={open_max!r}")

    return config
