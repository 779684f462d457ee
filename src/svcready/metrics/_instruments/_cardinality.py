"""The room for series that all metrics of a process share, and who filled it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.events import publish
from svcready.metrics._instruments._children import (
    CounterChild,
    LockedCounterChild,
    adds_are_atomic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from svcready.metrics._events import SeriesCapped

    class Sized(Protocol):
        """A metric, as the room sees it."""

        @property
        def series(self) -> int:
            """How many series it has."""
            ...

        def offence(self, limit: int, *, together: bool) -> SeriesCapped:
            """Say by which label its series are so many."""
            ...


__all__ = ["Room", "fullest"]

_LOOKED_AT = 5000  # enough to tell which label it is, and quick
_SAMPLES = 5


class Room:
    """
    How many series all metrics of a process may have together.

    A series that is there stays, so what is taken only grows.

    Args:
        limit: How many series there may be.
        metrics: Returns all metrics, to find the one that has the most.
    """

    def __init__(self, limit: int, metrics: Callable[[], Iterable[Sized]]) -> None:
        self._limit = limit
        self._metrics = metrics
        # No lock of its own: a finalizer may come here while its thread is here.
        self._taken = CounterChild() if adds_are_atomic() else LockedCounterChild()
        self._told = threading.Lock()  # only ever tried: it lets one thread tell
        fork.reset_in_child(self._reset)

    @property
    def full(self) -> bool:
        """True once there is no room for a further series."""
        return self._taken.read() >= self._limit

    def take(self, series: int = 1) -> None:
        """Count *series* that are there now."""
        self._taken.inc(series)

    def tell(self) -> None:
        """Say that it is full and which metric filled it, the first time only."""
        if self._told.acquire(blocking=False):
            most = max(self._metrics(), key=lambda metric: metric.series, default=None)
            if most is not None:
                publish(most.offence(self._limit, together=True))

    def _reset(self) -> None:
        taken = self._taken.read()
        self._taken.reset()  # its lock may be held by a thread of the parent
        self._taken.inc(taken)


def fullest(
    labels: Sequence[str], keys: Sequence[tuple[str, ...]]
) -> tuple[str, tuple[str, ...]]:
    """
    Return the label that has the most different values, and its last few.

    Args:
        labels: The names of a metric's labels.
        keys: The values of its series, in the order in which they came.
    """
    columns = zip(*keys[-_LOOKED_AT:], strict=True)
    different = [tuple(dict.fromkeys(column)) for column in columns]
    name, values = max(
        zip(labels, different, strict=False),  # none at all if there are no series
        key=lambda label: len(label[1]),
        default=("", ()),
    )
    return name, values[-_SAMPLES:]
