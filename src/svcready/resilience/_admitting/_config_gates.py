"""The numbers of what admits attempts, frozen, and what overrides them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.rates import read_rate
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._overrides import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BulkheadConfig",
    "RateConfig",
    "ThrottleConfig",
    "override_bulkhead",
    "override_rate",
    "override_throttle",
]


class BulkheadConfig(NamedTuple):
    """The numbers of a bulkhead."""

    max_concurrent: int
    """How many tasks and threads may be in calls at once."""
    max_queue: int = 0
    """How many more may wait."""
    max_wait_s: float = 0.0
    """The longest that one waits."""
    mode: str = "enforce"
    """`enforce`, `observe` (counts who would find no room) or `off`."""


class RateConfig(NamedTuple):
    """The numbers of an outbound rate limit."""

    rate: Rate
    """How often, and how many at once."""
    max_wait_s: float = 0.0
    """The longest that a call waits for its turn."""
    mode: str = "enforce"
    """`enforce`, `observe` (counts what comes too early) or `off`."""


class ThrottleConfig(NamedTuple):
    """The numbers of client-side throttling."""

    k: float = 2.0
    """So many times what the dependency accepts is sent to it."""
    window_s: float = 120.0
    """What the window covers."""
    max_rejection: float = 0.9
    """The largest share of calls that is held back."""
    mode: str = "enforce"
    """`enforce`, `observe` (counts what it would hold back) or `off`."""


_BULKHEAD_FIELDS = {
    "mode": "mode",
    "bulkhead_mode": "mode",
    "bulkhead_max_concurrent": "max_concurrent",
    "bulkhead_max_queue": "max_queue",
    "bulkhead_max_wait_s": "max_wait_s",
}
_RATE_FIELDS = {
    "mode": "mode",
    "rate_limit_mode": "mode",
    "rate_limit": "rate",
    "rate_limit_max_wait_s": "max_wait_s",
}
_THROTTLE_FIELDS = {
    "mode": "mode",
    "throttle_mode": "mode",
    "throttle_k": "k",
    "throttle_window_s": "window_s",
    "throttle_max_rejection": "max_rejection",
}


def override_bulkhead(
    config: BulkheadConfig, values: Mapping[str, object]
) -> tuple[BulkheadConfig, tuple[str, ...]]:
    """
    Return *config* with the operator's values in it, and what is wrong with them.

    Args:
        config: What the code declared.
        values: By the fields' names as variables spell them, in lower case; values
            of the fields' kinds. Other fields are left to whom they belong.
    """
    changed, problems = parsed(_BULKHEAD_FIELDS, values)
    made = config._replace(**changed)  # type: ignore[arg-type]
    if bool(made.max_queue) != bool(made.max_wait_s):
        problem = (
            f"bulkhead_max_queue={made.max_queue} and bulkhead_max_wait_s="
            f"{made.max_wait_s:g} need each other: both are left as declared"
        )
        problems = (*problems, problem)
        made = made._replace(max_queue=config.max_queue, max_wait_s=config.max_wait_s)

    return made, problems


def override_rate(
    config: RateConfig, values: Mapping[str, object]
) -> tuple[RateConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, as `override_bulkhead` does."""
    changed, problems = parsed(_RATE_FIELDS, values)
    if "rate" in changed:
        changed["rate"] = Rate(*read_rate(changed["rate"]))

    return config._replace(**changed), problems  # type: ignore[arg-type]


def override_throttle(
    config: ThrottleConfig, values: Mapping[str, object]
) -> tuple[ThrottleConfig, tuple[str, ...]]:
    """Return *config* with the operator's values in it, as `override_bulkhead` does."""
    changed, problems = parsed(_THROTTLE_FIELDS, values)
    return config._replace(**changed), problems  # type: ignore[arg-type]
