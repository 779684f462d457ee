"""The deadline that the work at hand is under: absolute, monotonic, inherited."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from contextvars import Token

    from svcready._core.clock import Clock

__all__ = ["UNTIL_S", "Until", "lift", "put", "read_by", "remaining", "until_s"]

UNTIL_S: ContextVar[float] = ContextVar("svcready.deadline", default=math.inf)
"""What `put` sets; the hot paths of timers set and reset it themselves."""

_monotonic = SYSTEM_CLOCK.monotonic


class Until(float):
    """
    The deadline of a block, which may be left in another context than it began in.

    There nobody can take it out of its own, and that may live on: a worker's thread.
    """

    __slots__ = ("is_over", "outer_s")

    is_over: bool
    outer_s: float


def until_s() -> float:
    """Return the monotonic time by which the work at hand must be done; inf: none."""
    value = UNTIL_S.get()
    if type(value) is not Until:
        return value

    in_force: float = value
    while type(in_force) is Until and in_force.is_over:
        in_force = in_force.outer_s

    if in_force is not value:
        UNTIL_S.set(in_force)  # the short ways look at nothing else

    return in_force


def put(deadline_s: float) -> Token[float]:
    """Put a deadline in force; one that is there and earlier stays."""
    outer_s = until_s()
    if type(deadline_s) is Until:
        deadline_s.is_over, deadline_s.outer_s = False, outer_s

    return UNTIL_S.set(min(deadline_s, outer_s))


def lift(token: Token[float], deadline_s: float = math.inf) -> None:
    """
    Put back the deadline that was in force before *token*'s `put`.

    In another context than that of `put` (a block that a framework leaves elsewhere,
    a coroutine that the collector closes) it can't be: a block's is over from now on.

    Args:
        token: What `put` returned.
        deadline_s: What it was called with, if that was a block's.
    """
    try:
        UNTIL_S.reset(token)
    except ValueError:
        if type(deadline_s) is Until:
            deadline_s.is_over = True


def read_by(clock: Clock) -> None:
    """Have `remaining` read *clock*, which the policies' deadlines are on."""
    global _monotonic  # noqa: PLW0603 - the one clock of the pillar in force
    _monotonic = clock.monotonic


def remaining() -> float:
    """
    Return how long the work at hand may still take, in seconds.

    It is what the nearest `timeout` or `deadline` around leaves, for the time-out
    arguments of client libraries: `client.get(url, timeout=min(5, remaining()))`.

    Returns:
        `math.inf` where nothing bounds it, 0.0 where the time is over.
    """
    return max(0.0, until_s() - _monotonic())
