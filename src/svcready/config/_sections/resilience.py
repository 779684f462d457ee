"""The section RESILIENCE, and the fields that every policy has by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from svcready._core.rates import ALLOWED, read_rate
from svcready.config._kinds import (
    FLAG,
    RATIO,
    Kind,
    choice,
    duration,
    integer,
    number,
)
from svcready.config._redis_address import REDIS_URL
from svcready.config._setting import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["POLICY_FIELDS", "PolicyField", "ResilienceSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResilienceSettings:
    """Retries, breakers and the other policies."""

    section: ClassVar[str] = "RESILIENCE"

    enabled: bool = setting(
        True,
        FLAG,
        "Switches this part off when false: every policy lets every call through once",
    )
    redis_url: str = setting(
        "",
        REDIS_URL,
        "The Redis by which the service's processes share what is switched on beside: "
        "redis://user:password@host:6379/0, rediss:// with encryption, unix:///path",
        secret=True,
    )
    redis_timeout_s: float = setting(
        0.05,
        duration(0.001, 10.0),
        "How long a request may wait for that Redis, connecting included, where rate "
        "limits are counted there",
    )
    share_breakers: bool = setting(
        False,
        FLAG,
        "Lets a circuit breaker that opened be heard of in the service's other "
        "processes, by SVCREADY_RESILIENCE_REDIS_URL",
    )
    share_quorum: int = setting(
        3,
        integer(1, 1000),
        "So many processes with an open breaker open it where it has seen too few "
        "calls to judge by, or none",
    )


class PolicyField(NamedTuple):
    """One field of `SVCREADY_POLICY__<NAME>__<FIELD>`."""

    kind: Kind[float] | Kind[int] | Kind[str]
    """How its text is read."""
    help: str
    """One line for the reference table."""
    default: str
    """What holds if nobody says anything, as a variable would spell it."""


def _parse_rate(raw: object) -> float:
    rate = RATIO.parse(raw)
    if not rate:
        raise ValueError(raw)

    return rate


def _parse_percentile(raw: object) -> float:
    text = str(raw).strip().lower()
    share = RATIO.parse(f"{text[1:]}%" if text.startswith("p") else raw)
    if not 0.5 <= share <= 0.9999:
        raise ValueError(raw)

    return share


def _parse_calls(raw: object) -> str:
    read_rate(raw)
    return str(raw).strip()


_UP_TO_A_DAY = duration(0.0, 86_400.0)
_RATE = Kind("ratio", _parse_rate, "50% or 0.5, above 0, up to 1", show=RATIO.show)
_PERCENTILE = Kind(
    "ratio", _parse_percentile, "p95, 95% or 0.95, from 50% to 99.99%", show=RATIO.show
)
_OFTEN = Kind("rate", _parse_calls, ALLOWED)
_CALLS = integer(1, 1_000_000)
_MODE = choice("enforce", "observe", "off")

POLICY_FIELDS: Mapping[str, PolicyField] = {
    "mode": PolicyField(
        _MODE,
        "observe: decide and tell, but leave every call as it is; off: take no part",
        "enforce",
    ),
    "fallback_mode": PolicyField(_MODE, "The same for its fallback alone", "enforce"),
    "fallback_stale_max_age_s": PolicyField(
        _UP_TO_A_DAY,
        "How old a last good answer may be; 0: none is given; where code keeps them",
        "0",
    ),
    "fallback_stale_max_entries": PolicyField(
        integer(2, 1_000_000),
        "How many last good answers are kept, by one process; where code keeps them",
        "1000",
    ),
    "hedge_mode": PolicyField(_MODE, "The same for its hedge alone", "enforce"),
    "hedge_after_s": PolicyField(
        duration(0.001, 3600.0),
        "How long an attempt may take before the next starts beside it",
        "as declared",
    ),
    "hedge_percentile": PolicyField(
        _PERCENTILE,
        "The share of recent calls that are faster than what is hedged, in place of "
        "HEDGE_AFTER_S",
        "as declared",
    ),
    "hedge_threads": PolicyField(
        _CALLS, "Threads for plain functions, where code runs them in some", "32"
    ),
    "hedge_max": PolicyField(
        integer(0, 10), "Attempts beside the first; 0: no hedge", "1"
    ),
    "retry_mode": PolicyField(_MODE, "The same for its retry alone", "enforce"),
    "retry_attempts": PolicyField(
        integer(1, 100), "Attempts in all, the first included; 1: no retry", "3"
    ),
    "retry_base_s": PolicyField(
        duration(0.001, 3600.0),
        "Upper bound of the first wait; doubles every time",
        "0.1",
    ),
    "retry_max_s": PolicyField(
        duration(0.001, 3600.0), "Upper bound of every wait", "5"
    ),
    "budget_ratio": PolicyField(
        number(0.0, 100.0),
        "How much of a retry or hedge each first attempt pays for",
        "0.2",
    ),
    "budget_reserve_per_s": PolicyField(
        number(0.0, 10_000.0), "Retries or hedges a second that are paid anyway", "1"
    ),
    "deadline_s": PolicyField(
        _UP_TO_A_DAY, "What all attempts and waits together may take; 0: no bound", "0"
    ),
    "deadline_mode": PolicyField(_MODE, "The same for its deadline alone", "enforce"),
    "timeout_mode": PolicyField(_MODE, "The same for its time-out alone", "enforce"),
    "timeout_s": PolicyField(
        _UP_TO_A_DAY, "What one attempt may take; 0: no bound", "0"
    ),
    "timeout_threads": PolicyField(
        _CALLS, "Threads for plain functions, where code runs them in some", "32"
    ),
    "breaker_mode": PolicyField(_MODE, "The same for its breaker alone", "enforce"),
    "breaker_failure_rate": PolicyField(
        _RATE, "Share of failures in the window that opens the breaker", "0.5"
    ),
    "breaker_min_calls": PolicyField(
        _CALLS, "Rates are judged from this many calls in the window", "20"
    ),
    "breaker_window_s": PolicyField(
        duration(1.0, 3600.0), "What the breaker's window covers", "30"
    ),
    "breaker_consecutive_failures": PolicyField(
        integer(0, 1_000_000),
        "Failures in a row that open the breaker; 0: no rule",
        "0",
    ),
    "breaker_slow_after_s": PolicyField(
        _UP_TO_A_DAY, "A call that takes this long is slow; 0: no call is", "0"
    ),
    "breaker_slow_rate": PolicyField(
        _RATE, "Share of slow calls in the window that opens the breaker", "0.8"
    ),
    "breaker_open_s": PolicyField(
        duration(0.1, 86_400.0),
        "How long the breaker stays open at first; doubles",
        "10",
    ),
    "breaker_open_max_s": PolicyField(
        duration(0.1, 86_400.0),
        "The longest that the breaker stays open, plus jitter",
        "120",
    ),
    "breaker_probes": PolicyField(
        integer(1, 1000), "Probes in a row that must succeed to close the breaker", "3"
    ),
    "breaker_probe_lease_s": PolicyField(
        duration(0.1, 86_400.0),
        "A probe without an outcome for this long has failed",
        "10",
    ),
    "throttle_mode": PolicyField(_MODE, "The same for its throttle alone", "enforce"),
    "throttle_k": PolicyField(
        number(1.0, 1000.0), "So many times what is accepted may be sent", "2"
    ),
    "throttle_window_s": PolicyField(
        duration(1.0, 3600.0), "What the throttle's window covers", "120"
    ),
    "throttle_max_rejection": PolicyField(
        _RATE, "Largest share of calls that the throttle holds back", "0.9"
    ),
    "bulkhead_mode": PolicyField(_MODE, "The same for its bulkhead alone", "enforce"),
    "bulkhead_max_concurrent": PolicyField(
        _CALLS, "Tasks and threads that may be in calls at once, in one process", ""
    ),
    "bulkhead_max_queue": PolicyField(
        integer(0, 1_000_000), "How many more may wait; 0: none", "0"
    ),
    "bulkhead_max_wait_s": PolicyField(
        _UP_TO_A_DAY, "The longest that one waits for the bulkhead", "0"
    ),
    "rate_limit_mode": PolicyField(
        _MODE, "The same for its rate limit alone", "enforce"
    ),
    "rate_limit": PolicyField(_OFTEN, "How often it may be called, by one process", ""),
    "rate_limit_max_wait_s": PolicyField(
        _UP_TO_A_DAY, "The longest that a call waits for its turn", "0"
    ),
}
"""The fields of policies, as the table after `SVCREADY_POLICY__<NAME>__`."""
