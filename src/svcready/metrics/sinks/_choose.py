"""Chooses where metrics are sent to, as the settings say."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics.sinks._cloudwatch._choose import cloudwatch_sinks
from svcready.metrics.sinks._otlp import plan_otlp

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config import Settings
    from svcready.metrics._pillar import MetricsPillar
    from svcready.metrics._push import PushSink

__all__ = ["Means", "choose_sinks"]


class Means(NamedTuple):
    """What sinks are made with."""

    settings: Settings
    identity: Identity
    clock: Clock
    note: Callable[[str], None]
    """Reports a problem with a setting."""
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes a context in which a sink's own calls are not traced."""
    write: Callable[[bytes, int], None] | None = None
    """Takes lines and their levels in place of standard output; a test's."""


def choose_sinks(pillar: MetricsPillar, means: Means) -> list[PushSink]:
    """Make the sinks that are switched on; nothing is opened or looked up yet."""
    sinks: list[PushSink] = []
    sinks += cloudwatch_sinks(pillar, means)
    sinks += _otlp_sinks(pillar, means)
    return sinks


def _otlp_sinks(pillar: MetricsPillar, means: Means) -> list[PushSink]:
    plan = plan_otlp(
        means.settings.otlp,
        snapshot=pillar.snapshot,
        identity=means.identity,
        clock=means.clock,
        quiet=means.quiet,
    )
    if plan.problem:
        means.note(plan.problem)

    return [] if plan.sink is None else [plan.sink]
