"""`retry`: the decorator and the explicit call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, overload

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._arguments import Matcher, check_plain, retry_config, source_of
from svcready.resilience._config import override_retry
from svcready.resilience._declared import Declared
from svcready.resilience._layering._layers import RETRY
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._parts import add_part, look_up
from svcready.resilience._retrying._retrier import Retrier

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place
    from svcready.resilience._arguments import Errors
    from svcready.resilience._config import RetryConfig
    from svcready.resilience._numbers import Duration

__all__ = ["RETRIERS", "Retry", "get_retry", "retry", "shorthand"]

RETRIERS: Register[Declared[Retrier, RetryConfig]] = Register("retry")
"""Every retry that the process declared."""
add_part("retry", RETRIERS)


class Retry(Primitive[Retrier]):
    """
    A declared retry: decorates functions, or makes one call.

    Waits are exponential with full jitter: before retry *n* a uniform draw from 0 to
    `min(wait_max, wait_base * 2 ** (n - 1))`. Retries are paid for by a budget that
    first attempts fill, so that a dependency that fails always gets a fifth more load
    and not three times as much. The last error goes to the caller as it is, with a
    note; never retried are cancellation and exits, refusals of svcready's own (save a
    rate limit that says how long), and what an inner retry gave up on.

    Stacked with `circuit_breaker` of the same name it is the outer of the two, in
    whichever order they are written, so that every attempt meets the breaker.

    It retries plain and coroutine functions, methods, partials, callable objects and
    functions that return an awaitable; generators of both kinds until their first
    item, because what the consumer has seen can't be taken back.
    """

    __slots__ = ()

    KIND = "a retry"
    RANK = RETRY

    @property
    def retrier(self) -> Retrier:
        """The policy behind it."""
        return self.core


@overload
def retry(
    name: str | None,
    *,
    on: Errors,
    attempts: int = 3,
    wait_base: Duration = 0.1,
    wait_max: Duration = 5.0,
    deadline: Duration | None = None,
    retry_after: Callable[[Exception], float | None] | None = None,
    budget: bool = True,
    nested: bool = False,
) -> Retry: ...
@overload
def retry(
    *,
    on: Errors,
    attempts: int = 3,
    wait_base: Duration = 0.1,
    wait_max: Duration = 5.0,
    deadline: Duration | None = None,
    retry_after: Callable[[Exception], float | None] | None = None,
    budget: bool = True,
    nested: bool = False,
) -> Retry: ...
def retry(
    name: str | None = None,
    *,
    on: Errors | None = None,
    attempts: int = 3,
    wait_base: Duration = 0.1,
    wait_max: Duration = 5.0,
    deadline: Duration | None = None,
    retry_after: Callable[[Exception], float | None] | None = None,
    budget: bool = True,
    nested: bool = False,
) -> Retry:
    """
    Call again when a call fails in a way that may pass.

    Args:
        name: The dependency; state and budget are per name. None: derived from the
            function decorated.
        on: What to retry: an exception class, a tuple of them, or a function of the
            exception. Required, because retrying the wrong thing does harm.
        attempts: How many in all, the first included.
        wait_base: The upper bound of the first wait; doubles each time.
        wait_max: The upper bound of every wait.
        deadline: What attempts and waits together may take. No wait ends after it; a
            coroutine is cancelled by it and `DeadlineExceeded` raised, while a plain
            function that runs can't be interrupted. A stream's bounds the way to its
            first item.
        retry_after: Reads from an error how many seconds the server asks to wait;
            None where it doesn't. Longer than 30 s means: no retry.
        budget: Whether retries are paid for.
        nested: Retry also what an inner retry gave up on; attempts multiply.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if on is None:
        raise DeclarationError(
            f"retry {name!r} has nothing to retry: "
            "svcready.retry('payments', on=ConnectionError)" + look_up("retry", name)
        )

    if retry_after is not None:
        check_plain("retry_after", retry_after)

    config = retry_config(
        attempts=attempts,
        wait_base=wait_base,
        wait_max=wait_max,
        deadline=deadline,
        budget=budget,
    )
    matcher = Matcher("on", on)
    place = calling_place()

    def declare(called: str) -> Retrier:
        return RETRIERS.declare(
            check_name("retry", called),
            (config, matcher, source_of(retry_after), nested),
            lambda: _build(called, config, matcher, retry_after, nested, place),
            place=place,
        ).core

    return Retry(declare, name)


def get_retry(name: str) -> Retry:
    """
    Return the retry that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = RETRIERS.named(name)
    return Retry(lambda _: declared.core, name)


def shorthand(value: object) -> Retry:
    """Return the retry of the errors that `policy(retry=value)` names."""
    return retry(on=cast("Errors", value))


def _build(
    name: str,
    config: RetryConfig,
    on: Matcher,
    retry_after: Callable[[Exception], float | None] | None,
    nested: bool,  # noqa: FBT001 - all by position, as declared
    place: Place,
) -> Declared[Retrier, RetryConfig]:
    retrier = Retrier(name, config, on, retry_after=retry_after, nested=nested)
    arguments = (config, on, source_of(retry_after), nested)
    return Declared(retrier, config, arguments, place, override_retry)
