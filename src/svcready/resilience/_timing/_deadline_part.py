"""`deadline`: what a whole call may take, as decorator, explicit call and block."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, overload

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import DEADLINE
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import seconds
from svcready.resilience._parts import add_part, look_up
from svcready.resilience._timing._timer import (
    DeadlineTimer,
    TimeConfig,
    override_deadline,
)

if TYPE_CHECKING:
    from svcready.resilience._numbers import Duration

__all__ = ["DEADLINES", "Deadline", "deadline", "get_deadline", "shorthand"]

DEADLINES: Register[Declared[DeadlineTimer, TimeConfig]] = Register("deadline")
"""Every deadline that the process declared."""
add_part("deadline", DEADLINES)


class Deadline(Primitive[DeadlineTimer], Guarding):
    """
    A declared deadline: decorates functions, makes one call, bounds a block.

    It is outside retry, bulkhead and all else, so it bounds attempts and waits
    together: no wait for a retry ends after it, and the last attempt gets what is
    left. What runs inside, tasks that it starts included, finds it by
    `svcready.remaining()`; of two the earlier is in force. How calls are ended is
    told at `Timeout`.
    """

    __slots__ = ()

    KIND = "a deadline"
    RANK = DEADLINE

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(deadline=self.core)


@overload
def deadline(name: str | None, within: Duration) -> Deadline: ...
@overload
def deadline(*, within: Duration) -> Deadline: ...
def deadline(name: str | None = None, within: Duration | None = None) -> Deadline:
    """
    Bound what a whole call may take, its retries and waits included.

    Args:
        name: The dependency. None: derived from the function decorated.
        within: How long, as seconds, a timedelta or `"5s"`.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if within is None:
        raise DeclarationError(
            f"deadline {name!r} has no time: svcready.deadline('payments', 5), or "
            "within=5" + look_up("deadline", name)
        )

    config = TimeConfig(seconds("within", within))
    place = calling_place()

    def declare(called: str) -> DeadlineTimer:
        return DEADLINES.declare(
            check_name("deadline", called),
            config,
            lambda: Declared(
                DeadlineTimer(called, config), config, config, place, override_deadline
            ),
            place=place,
        ).core

    return Deadline(declare, name)


def get_deadline(name: str) -> Deadline:
    """
    Return the deadline that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = DEADLINES.named(name)
    return Deadline(lambda _: declared.core, name)


def shorthand(value: object) -> Deadline:
    """Return the deadline that `policy(deadline=value)` means."""
    return deadline(within=cast("Duration", value))
