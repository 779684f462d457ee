"""What metrics tell of rare things."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FamilyShadowed", "MetricBudgetExceeded", "SeriesCapped"]


class SeriesCapped(NamedTuple):
    """There is no room for new series; they go to `__other__`. Told once."""

    metric: str
    """The one that has too many, by its own limit or most of all."""
    limit: int
    """How many series it may have, or all metrics together."""
    label: str
    """The label that has the most different values."""
    values: tuple[str, ...]
    """The last few of them, redacted, as a sample of what fills it."""
    together: bool = False
    """True if the limit is that of all metrics of the process."""


class FamilyShadowed(NamedTuple):
    """A family is there already, under a name that another one has. Told once."""

    metric: str
    """In base form, as declared."""
    exposition: str
    """The name that both have on Prometheus."""
    origin: str = "svcready"
    """Whose is left out: ours for the application's, or `otel` for ours."""


class MetricBudgetExceeded(NamedTuple):
    """More distinct CloudWatch metrics are sent than the budget allows."""

    billed: int
    """How many this process sent within the last hour."""
    budget: int
    largest: tuple[tuple[str, int], ...]
    """The names with the most dimension values, and how many each has."""
