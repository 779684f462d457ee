"""The generic cell rate algorithm: how often, with how many at once."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Rate", "Taken", "gcra"]


class Rate(NamedTuple):
    """How often something may happen."""

    per_s: float
    """How many times a second, on average."""
    burst: int
    """How many times at once, after a pause."""


class Taken(NamedTuple):
    """What came of asking."""

    allowed: bool
    """Whether it may happen now."""
    tat_s: float
    """The theoretical arrival time to keep; as before if it may not happen."""
    remaining: int
    """How many more times it could happen now."""
    retry_after_s: float
    """Until it may happen, in seconds; 0 if it may now, inf if it never may."""
    full_after_s: float
    """Until the whole burst is there again, in seconds."""


def gcra(rate: Rate, tat_s: float, now_s: float, cost: int = 1) -> Taken:
    """
    Decide whether something may happen *cost* times now.

    The virtual scheduling form of ITU-T I.371's generic cell rate algorithm; the one
    number of state is the time at which the burst would be whole again.

    Args:
        rate: How often it may.
        tat_s: What was kept from the last time; anything up to *now_s* at first.
        now_s: The time now, on the same clock.
        cost: How many times at once; 0 only asks.
    """
    interval_s = 1.0 / rate.per_s
    tolerance_s = rate.burst * interval_s
    start_s = max(tat_s, now_s)
    wanted_s = start_s + cost * interval_s
    late_s = wanted_s - now_s - tolerance_s
    allowed = late_s <= _ROUNDING * tolerance_s
    if not allowed:
        retry_after_s = late_s if cost <= rate.burst else float("inf")
        left = _whole((tolerance_s - (start_s - now_s)) / interval_s)
        return Taken(False, tat_s, left, retry_after_s, start_s - now_s)

    left = _whole((tolerance_s - (wanted_s - now_s)) / interval_s)
    return Taken(True, wanted_s, left, 0.0, wanted_s - now_s)


_ROUNDING = 1e-9  # sums of intervals are a little off what they ought to be


def _whole(number: float) -> int:
    return max(0, int(number + 1e-6))
