"""The deadline that the work at hand is under: absolute, monotonic, inherited."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from contextvars import Token

    from svcready._core.clock import Clock

__all__ = ["UNTIL_S", "lift", "put", "read_by", "remaining", "until_s"]

UNTIL_S: ContextVar[float] = ContextVar("svcready.deadline", default=math.inf)
"""What `put` sets; the hot paths of timers set and reset it themselves."""

until_s = UNTIL_S.get
"""Return the monotonic time by which the work at hand must be done; inf: no bound."""

_monotonic = SYSTEM_CLOCK.monotonic


def put(deadline_s: float) -> Token[float]:
    """Put a deadline in force; one that is there and earlier stays."""
    return UNTIL_S.set(min(deadline_s, UNTIL_S.get()))


def lift(token: Token[float]) -> None:
    """
    Put back the deadline that was in force before *token*'s `put`.

    In another context than that of `put` (a block that a framework leaves elsewhere,
    a coroutine that the collector closes) there is nothing to be put back.
    """
    try:
        UNTIL_S.reset(token)
    except ValueError:
        return


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
    return max(0.0, UNTIL_S.get() - _monotonic())
