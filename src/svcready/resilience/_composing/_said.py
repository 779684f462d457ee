"""What an operator's values for one policy contradict by themselves, whatever it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from svcready.resilience._admitting._config_gates import (
    BulkheadConfig,
    override_bulkhead,
)
from svcready.resilience._composing._contradictions import clashing
from svcready.resilience._config import (
    BreakerConfig,
    RetryConfig,
    override_breaker,
    override_retry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["contradictions"]

_PAIRS: tuple[tuple[str, str, Callable[..., Any], Any], ...] = (
    ("retry_base_s", "retry_max_s", override_retry, RetryConfig()),
    ("breaker_open_s", "breaker_open_max_s", override_breaker, BreakerConfig()),
    (
        "bulkhead_max_queue",
        "bulkhead_max_wait_s",
        override_bulkhead,
        BulkheadConfig(1),
    ),
)


def contradictions(values: Mapping[str, object]) -> tuple[str, ...]:
    """
    Return what is wrong with values for one policy before anybody declares it.

    Numbers that the code may still give are not judged.

    Args:
        values: By field in lower case, of the fields' kinds.
    """
    problems: list[str] = []
    for first, second, override, config in _PAIRS:
        if first in values and second in values:
            both = {first: values[first], second: values[second]}
            problems += override(config, both)[1]

    attempt_s, whole_s, window_s = (
        _bound_s(values, part, field)
        for part, field in (
            ("timeout", "timeout_s"),
            ("deadline", "deadline_s"),
            ("breaker", "breaker_window_s"),
        )
    )
    for clash in clashing(attempt_s, whole_s, window_s):
        said = " and ".join(sorted(clash.fields & values.keys()))
        problems.append(f"{clash.text}: {said} are left as declared")

    return tuple(problems)


def _bound_s(values: Mapping[str, object], part: str, field: str) -> float:
    value = values.get(field)
    off = values.get(f"{part}_mode", values.get("mode")) == "off"
    bounded = isinstance(value, int | float) and value and not off
    return float(value) if bounded else math.inf  # type: ignore[arg-type]
