"""`bulkhead`: how many calls to a dependency may run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from svcready._core.declarations import Register, check_name
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._admitting._compartment import Compartment
from svcready.resilience._admitting._config_gates import (
    BulkheadConfig,
    override_bulkhead,
)
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import BULKHEAD
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._numbers import count, seconds
from svcready.resilience._parts import add_part, look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.places import Place
    from svcready.resilience._admitting._permits import Level
    from svcready.resilience._numbers import Duration

__all__ = ["BULKHEADS", "Bulkhead", "bulkhead", "get_bulkhead", "shorthand"]

BULKHEADS: Register[Declared[Compartment, BulkheadConfig]] = Register("bulkhead")
"""Every bulkhead that the process declared."""
add_part("bulkhead", BULKHEADS)


class Bulkhead(Primitive[Compartment], Guarding):
    """
    A declared bulkhead: decorates functions, makes one call, guards a block.

    So many tasks and threads may be in calls at once, over all functions that have
    it, all threads and all event loops of the process; the next ones wait in line,
    first come, first served, or are refused. No wait passes the deadline of the work
    at hand.

    A permit belongs to the task or thread that entered. Calls nested in its own, by
    another function of the bulkhead, go with the permit that it has, which is given
    back when it has left them all. A stream is left when it is closed, and nobody is
    in it between its items. Tasks and threads that it starts take permits of their own.

    A plain function that runs on the thread of an event loop never waits, since the
    loop would wait with it: without a permit it is refused.
    """

    __slots__ = ()

    KIND = "a bulkhead"
    RANK = BULKHEAD

    @property
    def level(self) -> Level:
        """How many are in it and wait for it now, and its limit."""
        return self.core.level()

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(self.core)


@overload
def bulkhead(
    name: str | None,
    *,
    max_concurrent: int,
    max_queue: int = 0,
    max_wait: Duration = 0,
) -> Bulkhead: ...
@overload
def bulkhead(
    *, max_concurrent: int, max_queue: int = 0, max_wait: Duration = 0
) -> Bulkhead: ...
def bulkhead(
    name: str | None = None,
    *,
    max_concurrent: int | None = None,
    max_queue: int = 0,
    max_wait: Duration = 0,
) -> Bulkhead:
    """
    Let only so many calls to a dependency run at once.

    What is slow then holds as many threads, connections and tasks as it may, and
    leaves the others to the rest of the service.

    Args:
        name: The dependency; permits are per name. None: derived from the function
            decorated.
        max_concurrent: How many tasks and threads may be in calls at once, in one
            process. Required.
        max_queue: How many more may wait.
        max_wait: The longest that one waits; with *max_queue* only.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    if max_concurrent is None:
        raise DeclarationError(
            f"bulkhead {name!r} has no limit: "
            "svcready.bulkhead('payments', max_concurrent=10)"
            + look_up("bulkhead", name)
        )

    config = BulkheadConfig(
        max_concurrent=count("max_concurrent", max_concurrent),
        max_queue=count("max_queue", max_queue, low=0),
        max_wait_s=seconds("max_wait", max_wait, low_s=0.0),
    )
    if bool(config.max_queue) != bool(config.max_wait_s):
        raise DeclarationError(
            f"max_queue={max_queue!r} and max_wait={max_wait!r} need each other: give "
            "both, or neither"
        )

    return Bulkhead(_declarer(config, calling_place()), name)


def get_bulkhead(name: str) -> Bulkhead:
    """
    Return the bulkhead that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    declared = BULKHEADS.named(name)
    return Bulkhead(lambda _: declared.core, name)


def shorthand(value: object) -> Bulkhead:
    """
    Return the bulkhead that `policy(bulkhead=10)` means.

    Raises:
        DeclarationError: It is no number of calls.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise DeclarationError(
            f"bulkhead={value!r}: use a number of calls, or svcready.bulkhead(...)"
        )

    return bulkhead(max_concurrent=value)


def _declarer(config: BulkheadConfig, place: Place) -> Callable[[str], Compartment]:
    """Return what declares a bulkhead with these arguments under a name."""

    def declare(name: str) -> Compartment:
        declared = BULKHEADS.declare(
            check_name("bulkhead", name),
            config,
            lambda: Declared(
                Compartment(name, config), config, config, place, override_bulkhead
            ),
            place=place,
        )
        declared.adopt(config, config, place)
        return declared.core

    return declare
