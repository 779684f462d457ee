"""What metrics tell of rare things."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FamilyShadowed", "MetricBudgetExceeded", "SeriesCapped"]


class SeriesCapped(NamedTuple):
    """A metric reached its cap of series; new ones go to `__other__`. Told once."""

    metric: str
    limit: int
    """How many series it may have."""
    labels: tuple[tuple[str, str], ...]
    """The first set of labels that found no room, as a sample of what fills it."""


class FamilyShadowed(NamedTuple):
    """The application exposes a family of ours itself; ours is left out. Told once."""

    metric: str
    """In base form, as declared."""
    exposition: str
    """The name that both have on Prometheus."""


class MetricBudgetExceeded(NamedTuple):
    """More distinct CloudWatch metrics are sent than the budget allows."""

    billed: int
    """How many this process sent within the last hour."""
    budget: int
    largest: tuple[tuple[str, int], ...]
    """The names with the most dimension values, and how many each has."""
