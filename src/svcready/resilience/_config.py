"""The numbers of retries and breakers, frozen, and what overrides them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._overrides import parsed
from svcready.resilience._retrying._budget import RATIO, RESERVE_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BreakerConfig", "RetryConfig", "override_breaker", "override_retry"]


class BreakerConfig(NamedTuple):
    """The numbers of a circuit breaker."""

    failure_rate: float = 0.5
    """The share of failures in the window that opens it."""
    min_calls: int = 20
    """The rates are judged from this many calls in the window."""
    window_s: float = 30.0
    """What the window covers."""
    consecutive_failures: int | None = None
    """So many failures in a row open it whatever the rates say; None: no such rule."""
    slow_after_s: float | None = None
    """A call that takes this long is slow; None: no call is."""
    slow_rate: float = 0.8
    """The share of slow calls in the window that opens it."""
    open_s: float = 10.0
    """How long it stays open the first time; doubles every time."""
    open_max_s: float = 120.0
    """The longest that it stays open, before jitter."""
    probes: int = 3
    """So many probes in a row must succeed to close it."""
    probe_lease_s: float = 10.0
    """A probe without an outcome after this long counts as failed."""
    mode: str = "enforce"
    """`enforce`, `observe` (decides and tells, rejects nothing) or `off`."""


class RetryConfig(NamedTuple):
    """The numbers of a retry."""

    attempts: int = 3
    """How many attempts, the first included."""
    base_s: float = 0.1
    """The upper bound of the first wait; doubles every time."""
    max_s: float = 5.0
    """The upper bound of every wait."""
    deadline_s: float | None = None
    """What all attempts and waits together may take; None: no bound."""
    budget_ratio: float | None = RATIO
    """How much of a retry each first attempt pays for; None: all are paid for."""
    budget_reserve_per_s: float = RESERVE_PER_S
    """How many retries a second are paid for anyway."""
    mode: str = "enforce"
    """`enforce`, `observe` (tells of the first retry it would make) or `off`."""


_BREAKER_FIELDS = {
    "mode": "mode",
    "breaker_mode": "mode",
    "breaker_failure_rate": "failure_rate",
    "breaker_min_calls": "min_calls",
    "breaker_window_s": "window_s",
    "breaker_consecutive_failures": "consecutive_failures",
    "breaker_slow_after_s": "slow_after_s",
    "breaker_slow_rate": "slow_rate",
    "breaker_open_s": "open_s",
    "breaker_open_max_s": "open_max_s",
    "breaker_probes": "probes",
    "breaker_probe_lease_s": "probe_lease_s",
}
_RETRY_FIELDS = {
    "mode": "mode",
    "retry_mode": "mode",
    "retry_attempts": "attempts",
    "retry_base_s": "base_s",
    "retry_max_s": "max_s",
    "deadline_s": "deadline_s",
    "budget_ratio": "budget_ratio",
    "budget_reserve_per_s": "budget_reserve_per_s",
}
_ZERO_IS_NONE = {"consecutive_failures", "slow_after_s", "deadline_s"}


def override_breaker(
    config: BreakerConfig, values: Mapping[str, object]
) -> tuple[BreakerConfig, tuple[str, ...]]:
    """
    Return *config* with the operator's values in it, and what is wrong with them.

    Args:
        config: What the code declared.
        values: By the fields' names as variables spell them, in lower case; values
            of the fields' kinds. Other fields are left to whom they belong.
    """
    changed, problems = parsed(_BREAKER_FIELDS, values, none=_ZERO_IS_NONE)
    made = config._replace(**changed)  # type: ignore[arg-type]
    if made.open_s > made.open_max_s:
        problem = (
            f"breaker_open_s={made.open_s:g} is above breaker_open_max_s="
            f"{made.open_max_s:g}: both are left as declared"
        )
        problems = (*problems, problem)
        made = made._replace(open_s=config.open_s, open_max_s=config.open_max_s)

    return made, problems


def override_retry(
    config: RetryConfig, values: Mapping[str, object]
) -> tuple[RetryConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, as `override_breaker` does."""
    changed, problems = parsed(_RETRY_FIELDS, values, none=_ZERO_IS_NONE)
    if values.get("deadline_mode") in {"observe", "off"}:
        changed["deadline_s"] = None  # it is the deadline's, whichever part keeps it
    made = config._replace(**changed)  # type: ignore[arg-type]
    if made.base_s > made.max_s:
        problem = (
            f"retry_base_s={made.base_s:g} is above retry_max_s={made.max_s:g}: "
            "both are left as declared"
        )
        problems = (*problems, problem)
        made = made._replace(base_s=config.base_s, max_s=config.max_s)

    return made, problems
