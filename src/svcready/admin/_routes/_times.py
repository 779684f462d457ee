"""Times in the bodies of requests and answers."""

from __future__ import annotations

from datetime import UTC, datetime

from svcready.config._kinds import duration

__all__ = ["read_ttl", "wall_time"]

_TTL = duration(1.0, 86_400.0)


def read_ttl(raw: object) -> float:
    """
    Read for how long something is to hold, in seconds.

    Raises:
        ValueError: It is none; the text says what is allowed.
    """
    try:
        if isinstance(raw, str | int | float) and not isinstance(raw, bool):
            return _TTL.parse(raw)
    except (TypeError, ValueError):
        pass

    msg = f"Use {_TTL.allowed}"
    raise ValueError(msg)


def wall_time(time_ns: int | None) -> str | None:
    """Write wall time in UTC, to the second."""
    if time_ns is None:
        return None

    text = datetime.fromtimestamp(time_ns // 10**9, UTC).isoformat()
    return text.replace("+00:00", "Z")
