"""The deadline that the work at hand is under: absolute, monotonic, inherited."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextvars import Token

__all__ = ["lift", "put", "until_s"]

_UNTIL_S: ContextVar[float] = ContextVar("svcready.deadline", default=math.inf)

until_s = _UNTIL_S.get
"""Return the monotonic time by which the work at hand must be done; inf: no bound."""


def put(deadline_s: float) -> Token[float]:
    """Put a deadline in force; one that is there and earlier stays."""
    return _UNTIL_S.set(min(deadline_s, _UNTIL_S.get()))


def lift(token: Token[float]) -> None:
    """Put back the deadline that was in force before *token*'s `put`."""
    _UNTIL_S.reset(token)
