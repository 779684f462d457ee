"""A count of successes that grows without a lock while nothing can change."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NEVER", "Tally", "can_count_unlocked"]

NEVER = -math.inf
"""The edge of a tally that nobody may count on without the lock."""


class Tally:
    """
    The successes of one admission, counted by whoever finishes a call.

    A decorated call does `if tally.monotonic() < tally.edge: tally.ok += 1` and is
    done; from the edge on it asks the tally's owner, who takes its lock. The owner
    never sets `ok` back: it remembers how much of it was folded into its window.

    This relies on CPython's interpreter lock: between two bytecodes a thread yields
    only at a call or a backward jump, and the sentence above has none after the clock
    was read, so neither can the edge move in between nor an increment get lost.
    Builds without that lock never get an edge above `NEVER`.

    Args:
        monotonic: The clock of whoever owns it.
        edge: The time until which nobody needs to ask.
    """

    __slots__ = ("edge", "monotonic", "ok")

    def __init__(self, monotonic: Callable[[], float], edge: float = NEVER) -> None:
        self.monotonic = monotonic
        self.edge = edge
        self.ok = 0


def can_count_unlocked() -> bool:
    """Return whether this interpreter has the lock that `Tally` relies on."""
    enabled: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return enabled is None or enabled()
