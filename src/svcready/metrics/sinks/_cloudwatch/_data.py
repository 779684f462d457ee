"""What CloudWatch is sent: datums, and those that could not be sent yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from svcready.metrics._instruments._sketch import Reduced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready._core.identity import Identity
    from svcready.metrics._instruments._sketch import Sketch

__all__ = ["Collects", "Datum", "Key", "Pending", "Statistics", "merge_scaled"]

_FINE = 150
Key = tuple[str, tuple[tuple[str, str], ...], str, int]
"""What tells one series of datums from another."""


class Statistics(NamedTuple):
    """A distribution as CloudWatch's statistic set."""

    samples: int
    sum: float
    min: float
    max: float


class Datum(NamedTuple):
    """One metric's value, or distribution, in one interval."""

    name: str
    dimensions: tuple[tuple[str, str], ...]
    """Names and values, sorted by name; CloudWatch's rules hold for both."""
    unit: str
    """One of CloudWatch's 27, `None` included."""
    resolution: int = 60
    """Seconds: 60, or 1 for high resolution."""
    kind: str = "count"
    """`count`: adds up over time. `level`: the latest counts. `distribution`."""
    value: float = 0.0
    """Of a count, what was added; of a level, where it is."""
    sketch: Sketch | None = None
    """Of a distribution, and of nothing else; owned by who has the datum."""
    scale: float = 1.0
    """What the sketch's values are multiplied by to be in `unit`."""

    @property
    def key(self) -> Key:
        """What it has in common with the same series' datums of other intervals."""
        return (self.name, self.dimensions, self.unit, self.resolution)

    def reduced(self, limit: int) -> Reduced:
        """Return the distribution as at most *limit* values in the datum's unit."""
        assert self.sketch is not None
        reduced = self.sketch.reduce(limit)
        if self.scale == 1.0:
            return reduced

        scale = self.scale
        values = tuple([value * scale for value in reduced.values])
        return Reduced(values, reduced.counts, reduced.error)

    def statistics(self) -> Statistics:
        """Return the distribution's count, sum, min and max in the datum's unit."""
        sketch, scale = self.sketch, self.scale
        assert sketch is not None
        return Statistics(
            sketch.count, sketch.sum * scale, sketch.min * scale, sketch.max * scale
        )


class Collects(Protocol):
    """What a sink asks for the datums of each interval."""

    def collect(self, only: int = 0) -> list[Datum]:
        """
        Return what was recorded since the last call, one datum for each series.

        Counts are what was added, distributions what was recorded, levels where they
        are. Whoever called has them: nobody is given them again. One thread at a time.

        Args:
            only: A resolution: metrics stored otherwise are left for a later call.
        """
        ...

    def identify(self, identity: Identity) -> None:
        """Take a new identity, which is in the dimensions of what is collected next."""
        ...

    def reset(self) -> None:
        """Forget what was recorded before a fork: the parent collects it."""
        ...


class Pending:
    """
    What could not be sent, merged by series, so that an outage costs no counts.

    Counts add up, distributions merge, levels keep the latest. It is bounded by the
    number of series, whatever time goes by. One thread at a time.

    Args:
        max_series: How many series it holds; data of further ones is given up.
        on_dropped: Told how many datums were given up.
    """

    def __init__(
        self, max_series: int = 100_000, on_dropped: Callable[[int], None] | None = None
    ) -> None:
        self._max_series = max_series
        self._on_dropped = on_dropped
        self._held: dict[Key, Datum] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, datums: Iterable[Datum]) -> None:
        """Take in *datums*, the newest last; their sketches are ours from here on."""
        held = self._held
        dropped = 0
        for datum in datums:
            key = datum.key
            known = held.get(key)
            if known is not None:
                held[key] = _merged(known, datum)
            elif len(held) < self._max_series:
                held[key] = datum
            else:
                dropped += 1

        if dropped and self._on_dropped is not None:
            self._on_dropped(dropped)

    def take(self) -> list[Datum]:
        """Return everything and hold nothing; add again what cannot be sent."""
        datums = list(self._held.values())
        self._held.clear()
        return datums

    def clear(self) -> None:
        """Forget everything: a forked child's parent sends it."""
        self._held.clear()


def merge_scaled(into: Sketch, scale: float, other: Sketch, its_scale: float) -> None:
    """
    Merge *other* into a sketch of another unit.

    Two metrics of one name and unit may be recorded in different ones.

    Args:
        into: Takes it in.
        scale: What its values are multiplied by to be in the unit that is sent.
        other: Stays as it is.
        its_scale: The same of the other.
    """
    if scale != its_scale:
        factor, values = its_scale / scale, other.reduce(_FINE)
        other = type(other)()
        for value, count in zip(values.values, values.counts, strict=True):
            other.observe(value * factor, count)

    into.merge(other)


def _merged(old: Datum, new: Datum) -> Datum:
    if old.sketch is not None and new.sketch is not None:
        merge_scaled(old.sketch, old.scale, new.sketch, new.scale)
        return old

    if new.kind == "count" and old.kind == "count":
        return new._replace(value=old.value + new.value)

    return new
