"""What is wrong with the settings of metrics, as far as the settings alone show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.clients._named import named_problems
from svcready.metrics.sinks._cloudwatch._choose import cloudwatch_problems
from svcready.metrics.sinks._otlp._sink import otlp_problem

if TYPE_CHECKING:
    from svcready.config import Settings

__all__ = ["metrics_problems"]


def metrics_problems(settings: Settings) -> tuple[str, ...]:
    """
    Return what the start line would say is wrong, beside what `load` found.

    Args:
        settings: All sections; nothing is opened, made or looked up for them.
    """
    if not (settings.core.enabled and settings.metrics.enabled):
        return ()

    problems = [
        *named_problems(settings.metrics.instrument),
        *cloudwatch_problems(settings),
        otlp_problem(settings.otlp),
    ]
    return tuple([problem for problem in problems if problem])
