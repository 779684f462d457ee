"""What the tests of client metrics read a snapshot with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._model import Distribution, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.metrics._pillar import MetricsPillar

__all__ = ["Page"]


class Page:
    """What a pillar's snapshot says, by family and labels."""

    def __init__(self, pillar: MetricsPillar) -> None:
        self._pillar = pillar

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the numbers of the series that have *labels*."""
        found = self._points(name)
        return sum(
            point.value
            for own, point in found
            if labels.items() <= own.items() and isinstance(point, Number)
        )

    def count(self, name: str, **labels: str) -> int:
        """Return how many values the series that have *labels* recorded."""
        return sum(each.observations for each in self._distributions(name, labels))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of what the series that have *labels* recorded."""
        return sum(each.sum for each in self._distributions(name, labels))

    def labels(self, name: str) -> list[dict[str, str]]:
        """Return the label sets of a family that have recorded something."""
        return [
            own
            for own, point in self._points(name)
            if not isinstance(point, Distribution) or point.observations
        ]

    def text(self) -> str:
        """Return everything that the snapshot holds, as text."""
        return repr(self._pillar.snapshot())

    def _distributions(self, name: str, labels: dict[str, str]) -> list[Distribution]:
        return [
            point
            for own, point in self._points(name)
            if labels.items() <= own.items() and isinstance(point, Distribution)
        ]

    def _points(
        self, name: str
    ) -> Iterator[tuple[dict[str, str], Number | Distribution]]:
        family = self._pillar.snapshot().find(name)
        for point in family.points if family else ():
            assert family is not None
            assert isinstance(point, Number | Distribution)
            yield dict(zip(family.labels, point.labels, strict=True)), point
