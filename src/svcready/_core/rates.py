"""How rates are written: `100/s burst 20`, `5 per second`, `300/15min`."""

from __future__ import annotations

import math
import re

__all__ = ["ALLOWED", "read_rate", "say_rate"]

ALLOWED = (
    'a rate such as "100/s", "100/minute burst 20" or "5 per second", up to 1000000 '
    "a second"
)
"""What can be read, as it ends the sentence "... is not allowed: use"."""

_UNITS = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
_NUMBER = r"[0-9]{1,10}(?:\.[0-9]{1,9})?"
_WRITTEN = (
    rf"\s*({_NUMBER})(?:\s*/\s*|\s+per\s+)({_NUMBER})?\s*([a-z]+)"
    r"(?:\s*,?\s+burst\s+([0-9]{1,10}))?\s*"
)
_LONGEST = 64
_MOST_PER_S = 1_000_000.0
_MOST_AT_ONCE = 1_000_000_000
_LONGEST_S = 30 * 86_400.0


def read_rate(text: object) -> tuple[float, int]:
    """
    Read how often something may happen.

    Without a burst it is the number in front: `100/minute` lets a hundred through at
    once after a pause, and a hundred a minute from then on.

    Args:
        text: As `ALLOWED` says.

    Returns:
        Times per second on average, and times at once after a pause.

    Raises:
        ValueError: It is no such text, or out of bounds.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(text)

    match = re.fullmatch(_WRITTEN, text, re.ASCII | re.IGNORECASE)
    if match is None or match[3].lower() not in _UNITS:
        raise ValueError(text)

    times = float(match[1])
    period_s = float(match[2] or 1.0) * _UNITS[match[3].lower()]
    burst = int(match[4]) if match[4] else max(1, math.floor(times))
    if not times or not 0.0 < period_s <= _LONGEST_S:
        raise ValueError(text)

    per_s = times / period_s
    # Rarer than once in the longest period it is a mistake, and no rate.
    if not 1.0 / _LONGEST_S <= per_s <= _MOST_PER_S or not 1 <= burst <= _MOST_AT_ONCE:
        raise ValueError(text)

    return per_s, burst


def say_rate(per_s: float) -> str:
    """Return a rate as a person would say it: `2/minute`; every so often if rarer."""
    for word in ("second", "minute", "hour", "day"):
        times = per_s * _UNITS[word]
        if times > 1.0 - 1e-9 and abs(times - round(times)) < 1e-6 * times:
            return f"{round(times)}/{word}"

    return f"{per_s:.4g}/second" if per_s >= 1.0 else f"1/{1.0 / per_s:.6g}s"
