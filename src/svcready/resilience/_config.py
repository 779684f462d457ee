"""The numbers of each policy, frozen, and what may override them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    mode: str = "enforce"
    """`enforce`, `observe` (tells of the first retry it would make) or `off`."""


_BREAKER_FIELDS = {
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
    "mode": "mode",
}
_RETRY_FIELDS = {
    "retry_attempts": "attempts",
    "retry_base_s": "base_s",
    "retry_max_s": "max_s",
    "deadline_s": "deadline_s",
    "mode": "mode",
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
    changed, problems = _parsed(_BREAKER_FIELDS, values)
    made = config._replace(**changed)  # type: ignore[arg-type]
    if made.open_s > made.open_max_s:
        problem = (
            f"breaker_open_s {made.open_s:g} is above breaker_open_max_s "
            f"{made.open_max_s:g}: both are left as declared"
        )
        problems = (*problems, problem)
        made = made._replace(open_s=config.open_s, open_max_s=config.open_max_s)

    return made, problems


def override_retry(
    config: RetryConfig, values: Mapping[str, object]
) -> tuple[RetryConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, as `override_breaker` does."""
    changed, problems = _parsed(_RETRY_FIELDS, values)
    made = config._replace(**changed)  # type: ignore[arg-type]
    if made.base_s > made.max_s:
        problem = (
            f"retry_base_s {made.base_s:g} is above retry_max_s {made.max_s:g}: "
            "both are left as declared"
        )
        problems = (*problems, problem)
        made = made._replace(base_s=config.base_s, max_s=config.max_s)

    return made, problems


def _parsed(
    fields: Mapping[str, str], values: Mapping[str, object]
) -> tuple[dict[str, object], tuple[str, ...]]:
    from svcready.config._sections.resilience import POLICY_FIELDS  # at init() only

    changed: dict[str, object] = {}
    problems: list[str] = []
    for name, raw in values.items():
        field = fields.get(name)
        if field is None:
            continue

        kind = POLICY_FIELDS[name].kind
        try:
            value = kind.parse(raw)
        except ValueError:
            problems.append(f"{name} {raw!r} is not allowed: use {kind.allowed}")
            continue

        none = field in _ZERO_IS_NONE and not value
        changed[field] = None if none else value

    return changed, tuple(problems)
