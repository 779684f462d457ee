"""Totals: what of cumulative series was collected already, so that the rest is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.metrics._instruments._instrument import OTHER
from svcready.metrics._instruments._sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.metrics._model import Distribution

__all__ = ["COLLECTED", "Book", "Totals", "sketch_of"]

_Labels = tuple[str, ...]


class Book:
    """
    What was collected of one family's series.

    Args:
        owner: The instrument whose totals they are; another one of the same name
            begins anew.
        goes_on: Whether a forked child's totals go on from its parent's.
    """

    __slots__ = (
        "_absent",
        "_distributions",
        "_numbers",
        "goes_on",
        "is_folded",
        "owner",
    )

    def __init__(self, owner: object, *, goes_on: bool = False) -> None:
        self.owner = owner
        self.goes_on = goes_on
        self.is_folded = False
        """Whether some series found no place, and share one; for good."""
        self._numbers: dict[_Labels, float] = {}
        self._distributions: dict[_Labels, Distribution] = {}
        self._absent: dict[_Labels, int] = {}

    def knows(self, labels: _Labels) -> bool:
        """Tell whether a series was collected before."""
        return labels in self._numbers or labels in self._distributions

    def added(self, labels: _Labels, total: float) -> float:
        """Return what was added to a counter since the last call."""
        last = self._numbers.get(labels, 0.0)
        self._numbers[labels] = total
        if total >= last:
            return total - last

        # It began again from zero; what is folded only lost a series.
        return 0.0 if self.is_folded and _is_other(labels) else total

    def recorded(self, now: Distribution) -> Distribution:
        """Return what a histogram recorded since the last call."""
        last = self._distributions.get(now.labels)
        self._distributions[now.labels] = now
        if last is None or last.bounds != now.bounds:
            return now

        counts = tuple([b - a for a, b in zip(last.counts, now.counts, strict=True)])
        if min(counts, default=0) < 0:
            nothing = (0,) * len(counts)
            lost = self.is_folded and _is_other(now.labels)
            return now._replace(counts=nothing, sum=0.0) if lost else now

        return now._replace(counts=counts, sum=now.sum - last.sum)

    def keep_only(self, labels: Iterable[_Labels], *, patience: int = 0) -> None:
        """
        Forget the series that the family has no more.

        Not once some share one: which of them would get the place that is free, and
        what of it was collected already, nobody knows.

        Args:
            labels: Those that it has.
            patience: How many times in a row a series may be missing. What is asked
                for its total can fail to say it, and then says all of it again.
        """
        if self.is_folded:
            return

        there = set(labels)
        absent = self._absent
        for key in absent.keys() & there:
            del absent[key]

        for key in (self._numbers.keys() | self._distributions.keys()) - there:
            times = absent[key] = absent.get(key, 0) + 1
            if times > patience:
                del absent[key]
                self._numbers.pop(key, None)
                self._distributions.pop(key, None)


class Totals:
    """
    The books of all families of the process.

    They outlive a runtime, as the totals do: what one runtime has sent, the next one
    does not send again. Collectors that share them read different families.
    """

    def __init__(self) -> None:
        self._books: dict[tuple[str, str], Book] = {}

    def book(
        self, origin: str, name: str, owner: object = None, *, goes_on: bool = False
    ) -> Book:
        """
        Return the book of a family, a new one for another *owner*.

        Args:
            origin: Who recorded it.
            name: The family's.
            owner: The instrument whose totals they are.
            goes_on: Whether a forked child's totals go on from its parent's.
        """
        found = self._books.get((origin, name))
        if found is None or found.owner is not owner:
            found = self._books[origin, name] = Book(owner, goes_on=goes_on)

        return found

    def reset(self) -> None:
        """Begin anew in a forked child, but for totals that go on there."""
        kept = {key: book for key, book in self._books.items() if book.goes_on}
        self._books = kept


def _is_other(labels: _Labels) -> bool:
    return bool(labels) and all(label == OTHER for label in labels)


COLLECTED = Totals()
"""What this process has collected, for all its runtimes."""


def sketch_of(recorded: Distribution) -> Sketch | None:
    """
    Return a histogram's buckets as a sketch; None if nothing was recorded.

    Count and sum are the histogram's. Where in its bucket a value lies is not known:
    all are placed at the same share of their bucket's width, the one that gives the
    sum, and those above all bounds where that puts them.
    """
    total = sum(recorded.counts)
    if total <= 0 or not math.isfinite(recorded.sum):
        return None

    bounds = recorded.bounds
    lows = _lows(bounds)
    above = recorded.counts[-1] if len(recorded.counts) > len(bounds) else 0
    inside = list(zip(lows, bounds, recorded.counts, strict=False))
    floor = sum(low * count for low, _, count in inside)
    width = sum((high - low) * count for low, high, count in inside)
    top = bounds[-1] if bounds else 0.0
    highest = top
    if above:
        highest = max(top, (recorded.sum - floor - width / 2) / above)
        if not bounds:
            highest = recorded.sum / above

    rest = recorded.sum - floor - highest * above
    share = min(1.0, max(0.0, rest / width)) if width > 0 else 0.0
    sketch = Sketch()
    for low, high, count in inside:
        if count:
            sketch.observe(low + (high - low) * share, count)

    if above:
        sketch.observe(highest, above)

    return sketch


def _lows(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Return each bucket's lower end; nobody knows that of a negative first one."""
    if not bounds:
        return ()

    return (min(0.0, bounds[0]), *bounds[:-1])
