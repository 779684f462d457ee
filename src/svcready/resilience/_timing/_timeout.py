"""`timeout`: what one attempt may take, as decorator, explicit call and block."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, overload

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import TIMEOUT
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import count, seconds
from svcready.resilience._parts import add_part, look_up
from svcready.resilience._timing._timer import TimeoutConfig, Timer, override_timeout

if TYPE_CHECKING:
    from svcready.resilience._numbers import Duration

__all__ = ["TIMEOUTS", "Timeout", "get_timeout", "shorthand", "timeout"]

TIMEOUTS: Register[Declared[Timer, TimeoutConfig]] = Register("timeout")
"""Every time-out that the process declared."""
add_part("timeout", TIMEOUTS)

_THREADS = 32


class Timeout(Primitive[Timer], Guarding):
    """
    A declared time-out: decorates functions, makes one call, bounds a block.

    A coroutine that takes too long is cancelled, with the meaning that
    `asyncio.timeout` has: what others cancel passes as it is, also if both happen at
    once, and a task that swallows the cancellation and answers late has answered. A
    plain function can't be interrupted: it is not begun once the deadline around it
    has passed, `svcready.remaining()` tells it how long it has, and a late answer
    counts as `overrun`. With *threads* it runs in a thread that its caller stops
    waiting for.

    A generator's time is that to its first item.

    `async with payments_timeout:` bounds a block as it does a coroutine; `with` only
    puts the time in force.
    """

    __slots__ = ()

    KIND = "a timeout"
    RANK = TIMEOUT

    @property
    def abandoned(self) -> int:
        """How many threads still run what nobody waits for any more."""
        return self.core.abandoned

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(timeout=self.core)


@overload
def timeout(
    name: str | None, after: Duration, *, threads: bool | int = False
) -> Timeout: ...
@overload
def timeout(*, after: Duration, threads: bool | int = False) -> Timeout: ...
def timeout(
    name: str | None = None,
    after: Duration | None = None,
    *,
    threads: bool | int = False,
) -> Timeout:
    """
    Bound what one attempt may take.

    Args:
        name: The dependency. None: derived from the function decorated.
        after: How long, as seconds, a timedelta or `"250ms"`. Has no default: only
            you know how long is too long.
        threads: Run plain functions in daemon threads, up to so many at once (True:
            32), and stop waiting when the time is over. The thread goes on with what
            it does; where all are taken, calls are refused by `BulkheadFull`. What
            the function sets in context variables stays in its thread.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if after is None:
        raise DeclarationError(
            f"timeout {name!r} has no time: svcready.timeout('payments', 2), or after=2"
            + look_up("timeout", name)
        )

    config = TimeoutConfig(seconds("after", after), threads=_threads(threads))
    place = calling_place()

    def declare(called: str) -> Timer:
        return TIMEOUTS.declare(
            check_name("timeout", called),
            config,
            lambda: Declared(
                Timer(called, config), config, config, place, override_timeout
            ),
            place=place,
        ).core

    return Timeout(declare, name)


def get_timeout(name: str) -> Timeout:
    """
    Return the time-out that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = TIMEOUTS.named(name)
    return Timeout(lambda _: declared.core, name)


def shorthand(value: object) -> Timeout:
    """Return the time-out that `policy(timeout=value)` means."""
    return timeout(after=cast("Duration", value))


def _threads(threads: object) -> int:
    if isinstance(threads, bool):
        return _THREADS if threads else 0

    return count("threads", cast("int", threads))
