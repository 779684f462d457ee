"""What the resilience pillar tells of policies: states, levels, counts."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CallCount", "PolicyLevel", "PolicyState"]


class PolicyState(NamedTuple):
    """How one breaker stands, for the health report and the state gauge."""

    kind: str
    """`breaker`."""
    name: str
    """Its name."""
    state: str
    """`closed`, `half_open`, `open`, `forced_open`, `forced_closed`, `disabled`."""
    level: int
    """The gauge: 0 closed, 1 half-open, 2 open, 3 forced."""
    mode: str
    """`enforce`, `observe` or `off`."""
    reason: str | None
    """Why it moved last; None: it never did."""
    last_failure: str | None
    """The class name of the last failure that counted."""


class PolicyLevel(NamedTuple):
    """How full something is, for the gauges."""

    kind: str
    """`bulkhead`, ..."""
    name: str
    """The policy's name."""
    in_use: int
    """How many calls are in it."""
    waiting: int
    """How many wait for it."""
    limit: int
    """How many calls may be in it."""


class CallCount(NamedTuple):
    """How often something has happened in this process, for an observed counter."""

    kind: str
    """`breaker`, `retry`, `bulkhead`, ..."""
    name: str
    """The policy's name."""
    what: str
    """The calls' outcome, or what set the wait of retries."""
    total: int
    """How often."""
