"""The bound: of how many series the totals of dead processes are kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments._cardinality import fullest
from svcready.metrics._instruments._instrument import OTHER
from svcready.metrics._model import Distribution, Number, Sample
from svcready.metrics._workers._buckets import add_up, exact_sum
from svcready.metrics._workers._layout import Published
from svcready.metrics._workers._merge import mode_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.metrics._model import Family, Point
    from svcready.metrics._workers._merge import Part

__all__ = ["Bounded", "bounded"]


class Bounded(NamedTuple):
    """Parts of which no family has too many series."""

    parts: tuple[Part, ...]
    full: tuple[SeriesCapped, ...]
    """Which families found no room for some."""


def bounded(parts: Iterable[Part], most: int) -> Bounded:
    """
    Return *parts* with at most *most* different series of a family in all of them.

    Each process has a bound of its own, but one after another may have other label
    values. The totals that find no room go to the one series `__other__`; so does
    nothing of levels, which are left out.

    Args:
        parts: Those whose series stay come first.
        most: The bound, `__other__` not counted.
    """
    known: dict[object, dict[object, None]] = {}
    full: dict[object, SeriesCapped] = {}
    rewritten: list[Part] = []
    for part in parts:
        families: list[Published] = []
        for published in part.families:
            family = published.family
            mode = mode_of(family)
            key = (family.exposition, family.kind, mode)
            room = known.setdefault(key, {})
            new = {point.labels for point in family.points} - room.keys()
            if len(room) + len(new) <= most:
                room.update(dict.fromkeys(new))
                families.append(published)
            else:
                families.append(_fit(published, room, most, mode))
                full[key] = _tell(family, room, most)

        rewritten.append(part._replace(families=tuple(families)))

    return Bounded(tuple(rewritten), tuple(full.values()))


def _fit(
    published: Published, room: dict[object, None], most: int, mode: str
) -> Published:
    family, stamps = published
    points: list[Point] = []
    folded: dict[object, list[Point]] = {}
    kept_stamps: list[float] = []
    for index, point in enumerate(family.points):
        other = _as_other(point)
        if other != point and (point.labels in room or len(room) < most):
            room[point.labels] = None
            points.append(point)
            kept_stamps += stamps[index : index + 1]
        elif mode == "sum":
            name = other.name if isinstance(other, Sample) else ""
            folded.setdefault(name, []).append(other)

    points += map(_added, folded.values())
    return Published(family._replace(points=tuple(points)), tuple(kept_stamps))


def _as_other(point: Point) -> Point:
    if isinstance(point, Sample):
        return point._replace(labels=tuple([(name, OTHER) for name, _ in point.labels]))

    return point._replace(labels=(OTHER,) * len(point.labels))


def _added(points: Sequence[Point]) -> Point:
    first = points[0]
    if isinstance(first, Distribution):
        return add_up([p for p in points if isinstance(p, Distribution)])

    values = [p.value for p in points if isinstance(p, Number | Sample)]
    if isinstance(first, Sample) and first.name.endswith("_created"):
        return first._replace(value=min(values))

    return first._replace(value=exact_sum(values), exemplar=None)


def _tell(family: Family, room: dict[object, None], most: int) -> SeriesCapped:
    names, keys = family.labels, list(room)
    if family.points and isinstance(family.points[0], Sample):
        names = tuple([name for name, _ in family.points[0].labels])
        keys = [tuple([text for _, text in key]) for key in keys]  # type: ignore[attr-defined]

    label, values = fullest(names, keys)  # type: ignore[arg-type]
    return SeriesCapped(family.name, most, label, values)
