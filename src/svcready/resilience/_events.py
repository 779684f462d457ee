"""What the policies tell of: rare things only, no arguments, no messages."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "FellBack",
    "LimitMoved",
    "RetryExhausted",
    "RetryNested",
    "RetryRecovered",
    "RetryScheduled",
    "SheddingBegan",
    "SheddingEnded",
    "StoreBack",
    "StoreLost",
    "Waited",
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


class RetryNested(NamedTuple):
    """Retries are inside others, where attempts multiply; told once for two names."""

    name: str
    """The outer policy's name."""
    inner: str
    """The inner policy's name."""


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
    mode: str = "enforce"
    """`enforce`, `observe` (it refuses nothing, whatever its state) or `off`."""


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
    code: str = ""
    """The server's own error: `NOAUTH`, `WRONGPASS`, `OOM`, ...; empty: none."""


class StoreBack(NamedTuple):
    """A shared store answers again."""

    name: str
    """Whose: `breakers`, `rate_limits`."""
    lost_s: float
    """How long it did not, in seconds."""


class LimitMoved(NamedTuple):
    """A limit begins to refuse requests, or has refused none for ten seconds."""

    name: str
    """The limit's name."""
    before: str
    """`passing` or `refusing`."""
    after: str
    """The other one."""
    reason: str
    """`rejected`; `observed`, where it refuses nothing really; `quiet`."""


class Waited(NamedTuple):
    """A call that had to wait for its turn has waited, whatever came of it."""

    kind: str
    """What it waited for: `bulkhead` or `rate_limit`."""
    name: str
    """The policy's name."""
    wait_s: float
    """How long, in seconds."""


class FellBack(NamedTuple):
    """A fallback answered; told at most once in ten seconds."""

    name: str
    """The policy's name."""
    source: str
    """`stale`: a last good answer; `fallback`: what stands in."""
    error_type: str
    """The name of the class of what the call failed with."""
    not_logged: int = 0
    """How many answers before it were not told of."""


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
    room: int
    """How many of the limit requests of that class may fill."""


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
