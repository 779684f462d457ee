"""A collector, as prometheus_client asks it, of a histogram that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry

__all__ = ["register_broken"]


class _Broken:
    """Says one bucket of one histogram."""

    def __init__(self, name: str, bound: str, value: float) -> None:
        self._name = name
        self._bucket = (f"{name}_bucket", {"le": bound}, value)

    def collect(self) -> Iterator[Metric]:
        """Say it."""
        made = Metric(self._name, "help", "histogram")
        made.add_sample(*self._bucket)
        yield made


def register_broken(
    registry: CollectorRegistry, name: str, bound: str, value: float
) -> None:
    """Have *registry* collect a histogram of one bucket, whatever its bound."""
    registry.register(_Broken(name, bound, value))
