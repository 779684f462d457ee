"""What was added to each total since it last arrived."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.metrics._model import Distribution, Number

if TYPE_CHECKING:
    from svcready.metrics._model import Family

__all__ = ["Key", "Since", "Total", "forget_arrived", "since_of_process"]

_FORGET_AFTER = 60
"""A series that is not there for so many readings is forgotten."""

Total = Number | Distribution
Key = tuple[bool, str, str, str, str, tuple[tuple[str, str], ...]]


class _Arrived(NamedTuple):
    """The total of a series that the receiver has, and when it was read."""

    total: Total | None
    at_ns: int
    reading: int


class Since:
    """
    Remembers of each series what the receiver has, and gives the difference.

    What could not be sent stays in the next difference, so an outage costs no count
    and no memory.

    Args:
        started_ns: When the totals began, in wall time.
    """

    def __init__(self, started_ns: int) -> None:
        self._arrived: dict[Key, _Arrived] = {}
        self._read_ns = started_ns
        self._began_ns = started_ns
        self._reading = 0

    def begin(self, taken_ns: int) -> None:
        """Take note of a new reading."""
        self._reading += 1
        # A series that is new in this reading began after the one before.
        self._began_ns, self._read_ns = self._read_ns, taken_ns
        if self._reading % _FORGET_AFTER == 0:
            oldest = self._reading - _FORGET_AFTER
            self._arrived = {
                key: arrived
                for key, arrived in self._arrived.items()
                if arrived.reading > oldest
            }

    @staticmethod
    def key(family: Family, point: Total) -> Key:
        """Return what tells a series from all others, however many labels come."""
        # The names too: those of a family from OpenTelemetry's meters grow in number.
        labels = tuple(
            [pair for pair in zip(family.labels, point.labels, strict=True) if pair[1]]
        )
        # What other libraries' collectors compute does not begin again at a fork.
        computed = family.workers == "own"
        origin, name = family.origin, family.name
        return computed, origin, name, family.unit, family.kind, labels

    def difference(self, key: Key, total: Total) -> tuple[Total, int] | None:
        """Return what was added, and since when; None if nothing was."""
        arrived = self._arrived.get(key)
        if arrived is None:
            arrived = _Arrived(None, self._began_ns, self._reading)

        self._arrived[key] = arrived._replace(reading=self._reading)
        before = arrived.total
        if isinstance(total, Number):
            was = before.value if isinstance(before, Number) else 0
            # A total that fell began again from zero.
            added = total.value - was if total.value >= was else total.value
            if not added:
                return None

            return total._replace(value=added), arrived.at_ns

        base = before if isinstance(before, Distribution) else None
        more = _more(total, base)
        return (more, arrived.at_ns) if any(more.counts) else None

    def arrive(self, key: Key, total: Total) -> None:
        """Take note that the receiver has *total*, of this reading."""
        self._arrived[key] = _Arrived(total, self._read_ns, self._reading)

    def began_again(self, started_ns: int) -> None:
        """Start again in a forked child, whose totals became zero at *started_ns*."""
        self._read_ns = self._began_ns = started_ns
        self._arrived = {
            key: arrived for key, arrived in self._arrived.items() if key[0]
        }


_process: Since | None = None


def since_of_process(started_ns: int) -> Since:
    """
    Return what this process has sent, whichever runtime did.

    It outlives a runtime, as the totals do: what one has sent, the next one does not
    send again.

    Args:
        started_ns: When the totals began, in wall time, if nothing was sent yet.
    """
    global _process  # noqa: PLW0603 - one per process, as the totals are
    if _process is None:
        _process = Since(started_ns)

    return _process


def forget_arrived() -> None:
    """Forget what was sent; for tests, which declare the same names again."""
    global _process  # noqa: PLW0603
    _process = None


def _begin_again() -> None:
    # The child may make its first runtime only later.
    if _process is not None:
        _process.began_again(SYSTEM_CLOCK.time_ns())


fork.reset_in_child(_begin_again)


def _more(total: Distribution, before: Distribution | None) -> Distribution:
    if before is None:
        return total

    counts = list(total.counts)
    for bound, count in zip((*before.bounds, None), before.counts, strict=True):
        # Other buckets since then: what was counted stands at its old upper bound.
        place = -1 if bound is None else bisect_left(total.bounds, bound)
        counts[place] -= count

    fell = any(count < 0 for count in counts)
    if sum(counts) < 0 or (fell and total.bounds == before.bounds):
        return total  # it began again from zero

    if fell:
        _level(counts)

    return total._replace(counts=tuple(counts), sum=total.sum - before.sum)


def _level(counts: list[int]) -> None:
    """Make no count negative, at its neighbours' cost; their sum stays."""
    owed = 0
    for places in (range(len(counts)), reversed(range(len(counts)))):
        for place in places:
            owed += counts[place]
            counts[place] = max(owed, 0)
            owed = min(owed, 0)
