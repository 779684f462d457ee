"""How a deadline travels in HTTP's header fields: in milliseconds that are left."""

from __future__ import annotations

import re

__all__ = ["DEADLINE_HEADER", "left_s", "name_of_field", "text_of", "use_field"]

DEADLINE_HEADER = "X-Request-Timeout-Ms"
"""The field's name unless `SVCREADY_HTTP_DEADLINE_HEADER` says another."""

_MARGIN_MS = 10
_MOST_S = 86_400.0
_MS = re.compile(r"[0-9]{1,12}")
_GRPC = re.compile(r"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

_name = DEADLINE_HEADER


def use_field(name: str) -> None:
    """Have clients send the deadline by this name."""
    global _name  # noqa: PLW0603 - the one name of the pillar in force
    _name = name


def name_of_field() -> str:
    """Return the name by which clients send the deadline."""
    return _name


def text_of(remaining_s: float) -> str | None:
    """
    Return what a client sends of the time that is left.

    It is 10 ms less, for the way; None: no time is left that could be given.

    Args:
        remaining_s: What is left, in seconds; no infinity.
    """
    left_ms = int(remaining_s * 1000.0) - _MARGIN_MS
    return str(left_ms) if left_ms > 0 else None


def left_s(text: str, *, grpc: bool = False) -> float | None:
    """
    Return the seconds that a field leaves, up to a day; None if it is malformed.

    Args:
        text: The field's value: whole milliseconds, or `grpc-timeout`'s number with a
            unit.
        grpc: Whether it is the latter.
    """
    if grpc:
        found = _GRPC.fullmatch(text)
        if found is None:
            return None

        return min(int(found[1]) * _GRPC_UNITS[found[2]], _MOST_S)

    return min(int(text) / 1000.0, _MOST_S) if _MS.fullmatch(text) else None
