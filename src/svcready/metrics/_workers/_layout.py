"""The layout: a process' families as lines of keys, and values in their order."""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from svcready.metrics._model import Distribution, Sample

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from svcready.metrics._model import Exemplar, Family, Number

    Columns: TypeAlias = dict[object, "_Column"]

__all__ = ["TOTALS", "Encoded", "Layout", "Published"]

TOTALS = frozenset(("counter", "histogram", "summary"))
"""The kinds whose values only rise, and outlive who counted them."""
_WASTED = 4096


class Published(NamedTuple):
    """One family as a process published it."""

    family: Family
    stamps: tuple[float, ...] = ()
    """When each point was set, in seconds of wall time, if the latest counts."""


class Encoded(NamedTuple):
    """What a process publishes at one moment."""

    keys: bytes
    """Lines to append to those before; empty if no series is new."""
    values: array[float]
    extras: bytes
    """What comes and goes: exemplars, and which series are absent."""
    families: tuple[Published, ...]
    """The same as a reader gets it."""


class _Column:
    """All series of a family that are written in one way, in order of discovery."""

    __slots__ = ("absent", "keys", "known", "places")

    def __init__(self) -> None:
        self.known: dict[Hashable, int] = {}
        self.keys: Sequence[Hashable] = ()
        self.places: list[int] = []
        self.absent: tuple[int, ...] = ()


class Layout:
    """
    Writes the families of one process; a series keeps its place for good.

    Keys are JSON lines that are only ever added to. A line names a family, or series
    of one family, whose values follow those of the lines before: one each; value and
    time for a level of which the latest counts; counts and sum of a distribution.
    """

    def __init__(self) -> None:
        self._families: dict[Family, tuple[int, Columns]] = {}
        self._values = array("d")
        self._new: list[object] = []
        self._absent: list[int] = []
        self._exemplars: list[object] = []

    @property
    def is_wasteful(self) -> bool:
        """Whether most places are of series that are gone."""
        return len(self._absent) > max(_WASTED, len(self._values) // 4)

    def encode(self, families: Iterable[Published], now_s: float) -> Encoded:
        """
        Write *families*, which are all that the process publishes.

        Args:
            families: None of them of the mode `own`.
            now_s: Wall time in seconds: when a level was set that has changed and has
                no stamp.
        """
        self._new, self._absent, self._exemplars = [], [], []
        published = []
        left = dict(self._families)
        for family, given in families:
            left.pop(family._replace(points=()), None)
            stamps = self._encode(family, given, now_s)
            published.append(Published(family, stamps))

        for _, columns in left.values():
            for column in columns.values():
                self._absent += column.known.values()

        extras = {"absent": self._absent, "exemplars": self._exemplars}
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in self._new)
        packed = json.dumps(extras).encode()
        return Encoded(lines, self._values[:], packed, tuple(published))

    def _encode(
        self, family: Family, given: tuple[float, ...], now_s: float
    ) -> tuple[float, ...]:
        index, columns = self._find(family)
        groups: dict[object, list[Number | Distribution | Sample]] = {}
        for point in family.points:
            what: object = type(point).__name__
            if type(point) is Distribution:
                what = point.bounds

            groups.setdefault(what, []).append(point)

        latest = family.workers == "latest"
        stamps: list[float] = []
        for what, points in groups.items():
            if isinstance(what, tuple):
                self._encode_distributions(index, columns, what, points)
            else:
                places = self._encode_values(
                    index, columns, points, now_s if latest else None
                )
                if latest:
                    stamps += self._stamp(places, given[len(stamps) :])

        for what, column in columns.items():
            self._absent += column.absent if what in groups else column.known.values()

        return tuple(stamps)

    def _encode_values(
        self,
        index: int,
        columns: Columns,
        points: Sequence[object],
        now_s: float | None,
    ) -> list[int]:
        chosen: Sequence[Number | Sample] = points  # type: ignore[assignment]
        word, keys = "Number", [point.labels for point in chosen]
        if type(points[0]) is Sample:
            word = "Sample"
            keys = [(p.name, p.labels) for p in chosen]  # type: ignore[union-attr,misc]

        latest = now_s is not None
        line: list[object] = ["latest" if latest else "each", word, index]
        places = self._place(columns, word, keys, 1 + latest, line)
        values = self._values
        for place, point in zip(places, chosen, strict=True):
            if now_s is not None and values[place] != point.value:
                values[place + 1] = now_s

            values[place] = point.value
            if point.exemplar is not None:
                self._exemplars.append(_plain(place, 0, point.exemplar))

        return places

    def _stamp(self, places: list[int], given: Sequence[float]) -> list[float]:
        values = self._values
        for place, stamp in zip(places, given, strict=False):
            values[place + 1] = stamp

        return [values[place + 1] for place in places]

    def _encode_distributions(
        self,
        index: int,
        columns: Columns,
        bounds: tuple[float, ...],
        points: Sequence[object],
    ) -> None:
        chosen: Sequence[Distribution] = points  # type: ignore[assignment]
        keys = [point.labels for point in chosen]
        width = len(bounds) + 2
        line: list[object] = ["buckets", bounds, index]
        places = self._place(columns, bounds, keys, width, line)
        values = self._values
        for place, point in zip(places, chosen, strict=True):
            values[place : place + width] = array("d", (*point.counts, point.sum))
            for bucket, exemplar in enumerate(point.exemplars):
                if exemplar is not None:
                    self._exemplars.append(_plain(place, bucket, exemplar))

    def _find(self, family: Family) -> tuple[int, Columns]:
        bare = family._replace(points=())
        found = self._families.get(bare)
        if found is None:
            found = self._families[bare] = len(self._families), {}
            texts = bare._asdict()
            del texts["points"], texts["attributes"]  # no page shows the latter
            self._new.append(["family", texts])

        return found

    def _place(
        self,
        columns: Columns,
        what: object,
        keys: Sequence[Hashable],
        width: int,
        line: list[object],
    ) -> list[int]:
        """Return the places of *keys*, new ones at the end."""
        column = columns.get(what)
        if column is None:
            column = columns[what] = _Column()

        if keys == column.keys:
            return column.places

        known = column.known
        new = [key for key in dict.fromkeys(keys) if key not in known]
        if new:
            end = len(self._values)
            size = len(new) * width
            known.update(zip(new, range(end, end + size, width), strict=True))
            self._values.frombytes(bytes(8 * size))
            self._new.append([*line, new])

        column.keys = keys
        column.places = [known[key] for key in keys]
        column.absent = ()
        if len(column.places) < len(known):
            column.absent = tuple(set(known.values()) - set(column.places))

        return column.places


def _plain(place: int, bucket: int, exemplar: Exemplar) -> list[object]:
    at = exemplar.timestamp
    seconds = None if at is None else float(at)  # type: ignore[arg-type]
    return [place, bucket, exemplar.labels, exemplar.value, seconds]
