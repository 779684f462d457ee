"""Chooses where metrics are sent to, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._choose import cloudwatch_sinks
from svcready.metrics.sinks._otlp._sink import plan_otlp

if TYPE_CHECKING:
    from svcready.metrics._push import PushSink
    from svcready.metrics.sinks._means import Means

__all__ = ["choose_sinks"]


def choose_sinks(means: Means) -> list[PushSink]:
    """Make the sinks that are switched on; nothing is opened or looked up yet."""
    sinks: list[PushSink] = []
    sinks += cloudwatch_sinks(means)
    sinks += _otlp_sinks(means)
    return sinks


def _otlp_sinks(means: Means) -> list[PushSink]:
    plan = plan_otlp(
        means.settings.otlp,
        snapshot=means.snapshot,
        identity=means.identity,
        clock=means.clock,
        quiet=means.quiet,
    )
    if plan.problem:
        means.note(plan.problem)

    return [] if plan.sink is None else [plan.sink]
