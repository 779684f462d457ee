"""Tells which requests are anomalies, for rules that X-Ray may boost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.config._adaptive import AdaptiveSampling, Condition

    Judge = Callable[[str, int | None, BaseException | None, float], bool]

__all__ = ["judge_of"]

_FIRST_FAULT = 500
_BOOSTING = {"both", "sampling-boost"}


def judge_of(adaptive: AdaptiveSampling | None) -> Judge:
    """
    Return what tells whether a request is an anomaly.

    It takes the request's method and route, its status, the error and the duration in
    seconds. Without a condition, a failed request is one.
    """
    if adaptive is None or not adaptive.conditions:
        return _has_failed

    conditions = [it for it in adaptive.conditions if it.usage in _BOOSTING]

    def judge(
        operation: str,
        status: int | None,
        error: BaseException | None,  # noqa: ARG001 - part of what is known
        took_s: float,
    ) -> bool:
        return any(_holds(it, operation, status, took_s) for it in conditions)

    return judge


def _has_failed(
    operation: str,  # noqa: ARG001 - part of what is known
    status: int | None,
    error: BaseException | None,
    took_s: float,  # noqa: ARG001
) -> bool:
    return isinstance(error, Exception) or (status or 0) >= _FIRST_FAULT


def _holds(
    condition: Condition, operation: str, status: int | None, took_s: float
) -> bool:
    if condition.operations is not None and operation not in condition.operations:
        return False

    if condition.slower_than_s is not None and took_s < condition.slower_than_s:
        return False

    pattern = condition.status
    return pattern is None or (status is not None and bool(pattern.match(str(status))))
