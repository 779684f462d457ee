"""What a load shedder tells of: that it began, and ended."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SheddingBegan", "SheddingEnded"]


class SheddingBegan(NamedTuple):
    """A request was refused for load, the first for at least 10 s."""

    name: str
    """The shedder's name."""
    mode: str
    """`enforce`; `observe`: none is refused, it is only told."""
    limit: int
    """How many requests may be in flight."""
    in_flight: int
    """How many are."""
    priority: str
    """The class of the one that was refused."""


class SheddingEnded(NamedTuple):
    """No request was refused for 10 s."""

    name: str
    """The shedder's name."""
    mode: str
    """`enforce` or `observe`."""
    limit: int
    """How many requests may be in flight."""
    lasted_s: float
    """How long from the first refusal to the last, in seconds."""
    rejected: int
    """How many were refused in all."""
