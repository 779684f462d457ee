"""What the policies tell of: rare things only, no arguments, no messages."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "RetryExhausted",
    "RetryRecovered",
    "RetryScheduled",
    "StoreBack",
    "StoreLost",
]


class RetryScheduled(NamedTuple):
    """An attempt failed, and another follows."""

    name: str
    """The policy's name."""
    attempt: int
    """Which attempt failed, from 1."""
    wait_s: float
    """Seconds until the next one."""
    error_type: str
    """The name of the failure's class."""


class RetryRecovered(NamedTuple):
    """An attempt after the first succeeded."""

    name: str
    """The policy's name."""
    attempts: int
    """How many attempts it took."""


class RetryExhausted(NamedTuple):
    """No further attempt is made, and the last error goes to the caller."""

    name: str
    """The policy's name."""
    attempts: int
    """How many attempts were made."""
    reason: str
    """Why: `attempts`, `deadline`, `hint`, `budget`, `nested` or `not_retryable`."""
    error_type: str
    """The name of the last failure's class."""


class BreakerMoved(NamedTuple):
    """A circuit breaker changed its state."""

    name: str
    """The breaker's name."""
    before: str
    """`closed`, `half_open`, `open`, `forced_open`, `forced_closed` or `disabled`."""
    after: str
    """One of the same words."""
    reason: str
    """
    Why: `failure_rate`, `slow_rate`, `consecutive`, `probe_failed`, `probe_lost`,
    `peers`, `elapsed`, `probes_passed` or `manual`.
    """
    open_s: float = 0.0
    """How long it stays open, in seconds, where it opened."""


class BreakerStarved(NamedTuple):
    """A breaker sees too few calls for its rates ever to be judged; told once."""

    name: str
    """The breaker's name."""
    min_calls: int
    """How many calls its window needs."""
    window_s: float
    """Its window, in seconds."""


class StoreLost(NamedTuple):
    """A store that processes share does not answer; told once until it does."""

    name: str
    """Whose: `breakers`, `rate_limits`."""
    reason: str
    """Why: `timeout`, `connection`, `resolve`, `refused` or `garbage`."""


class StoreBack(NamedTuple):
    """A shared store answers again."""

    name: str
    """Whose: `breakers`, `rate_limits`."""
    lost_s: float
    """How long it did not, in seconds."""
