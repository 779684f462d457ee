"""The merge: what several processes published, as the metrics of one service."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._model import Distribution, Number, Sample
from svcready.metrics._workers._buckets import add_up, exact_sum, later
from svcready.metrics._workers._layout import TOTALS, Published

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from svcready.metrics._model import Exemplar, Family, Point

__all__ = ["Part", "merge", "merge_totals", "mode_of"]

_FACTS = frozenset(("info", "stateset"))
_LAYERS = 5  # numbers as far apart as a float can tell need some forty


class Part(NamedTuple):
    """What one process adds."""

    families: Sequence[Published]
    pid: str = ""
    born: tuple[int, int] = (0, 0)
    """Start and process id: who is the eldest."""
    lives: bool = True
    """False leaves totals, and levels of which the latest counts."""
    works: bool = True
    """False for who only forked those that work."""


class _Given(NamedTuple):
    """One family of one part."""

    part: Part
    family: Family
    stamps: tuple[float, ...]


class _Series:
    """Everything that was published of one series."""

    __slots__ = ("exemplar", "parts", "stamp")

    def __init__(self) -> None:
        self.parts: list[float] = []
        self.stamp = -1.0
        self.exemplar: Exemplar | None = None


def merge(parts: Iterable[Part]) -> tuple[Family, ...]:
    """
    Return the families of all *parts* as one service's.

    Args:
        parts: Those whose spelling of a family counts come first. A part whose family
            is of another kind than theirs adds nothing to it.
    """
    by_name: dict[str, list[_Given]] = {}
    for part in parts:
        for family, stamps in part.families:
            given = by_name.setdefault(family.exposition, [])
            if not given or _agree(given[0].family, family):
                given.append(_Given(part, family, stamps))

    merged = [_merge(given) for given in by_name.values()]
    return tuple([family for family in merged if family is not None])


def merge_totals(parts: Sequence[Part]) -> list[list[Published]]:
    """
    Return what remains of *parts* once they are dead, to be merged with the living.

    Where totals are added to again they must not be rounded: a sum that is rounded
    twice may be a little less than the one that was shown before, and to Prometheus a
    counter that falls has begun anew. So first come the totals, then what rounding
    took from these, and what it took from that, as long as it took anything.
    """
    dead = [part._replace(lives=False) for part in parts]
    layers: list[list[Published]] = [[] for _ in range(_LAYERS)]
    by_name: dict[tuple[object, ...], list[_Given]] = {}
    for part in dead:
        for family, stamps in part.families:
            # Families of one name and different kinds are all kept, for whoever
            # publishes more of them.
            key = (family.exposition, family.kind, mode_of(family))
            by_name.setdefault(key, []).append(_Given(part, family, stamps))

    for given in by_name.values():
        mode = mode_of(given[0].family)
        if mode == "latest":
            layers[0].append(Published(*_latest(given)))
        elif mode == "sum" and given[0].family.kind in TOTALS:
            exact: list[Family] = []
            for layer in layers:
                family = _sum(given, minus=exact)
                if exact and not family.points:
                    break

                exact.append(family)
                layer.append(Published(family))

    return [layer for layer in layers if layer]


def mode_of(family: Family) -> str:
    """Return how the values of several processes make one."""
    if family.kind in _FACTS and family.workers != "pid":
        return "eldest" if family.origin == "svcready" else "max"

    return family.workers


def _agree(one: Family, other: Family) -> bool:
    return one.kind == other.kind and mode_of(one) == mode_of(other)


def _merge(given: list[_Given]) -> Family | None:
    mode = mode_of(given[0].family)
    if mode == "latest":
        return _latest(given)[0]

    if mode == "sum" and given[0].family.kind in TOTALS:
        return _sum(given)

    living = [one for one in given if one.part.lives]
    if not living:
        return None

    if mode == "eldest":
        return min(living, key=lambda one: one.part.born).family

    if mode == "pid":
        return _by_process(living)

    return _sum(living) if mode == "sum" else _extreme(living, mode)


def _by_process(given: list[_Given]) -> Family:
    head, unified = _unify(given)
    label = "pid" if "pid" not in head.labels else "worker_pid"
    points: list[Point] = []
    for (part, _, _), its in zip(given, unified, strict=True):
        pair = (label, part.pid)
        for point in its:
            more = (pair,) if isinstance(point, Sample) else (part.pid,)
            points.append(point._replace(labels=(*point.labels, *more)))

    labels = head.labels
    if any(not isinstance(point, Sample) for point in points):
        labels = (*labels, label)

    return head._replace(labels=labels, points=tuple(points), attributes=())


def _latest(given: list[_Given]) -> tuple[Family, tuple[float, ...]]:
    head, unified = _unify(given)
    found: dict[object, tuple[float, Point]] = {}
    for one, its in zip(given, unified, strict=True):
        stamps = one.stamps or (0.0,) * len(its)
        for point, stamp in zip(its, stamps, strict=True):
            key = _key(point)
            if key not in found or found[key][0] < stamp:
                found[key] = (stamp, point)

    points = tuple([point for _, point in found.values()])
    return head._replace(points=points), tuple([stamp for stamp, _ in found.values()])


def _extreme(given: list[_Given], mode: str) -> Family:
    head, unified = _unify(given)
    choose = min if mode == "min" else max
    found: dict[object, Point] = {}
    for its in unified:
        for point in its:
            key = _key(point)
            before = found.get(key)
            if before is None:
                found[key] = point
            elif not isinstance(point, Distribution):
                value = choose(before.value, point.value)  # type: ignore[union-attr]
                found[key] = before._replace(value=value)  # type: ignore[call-arg]

    return head._replace(points=tuple(found.values()))


def _sum(given: list[_Given], minus: Sequence[Family] = ()) -> Family:
    """
    Add up.

    Args:
        given: What to add up.
        minus: What the sum was rounded to, and the rests; only what differs from
            these together is returned.
    """
    head, unified = _unify(given)
    if len(given) == 1 and not minus:
        return head

    if not minus and all(map(_is_plain, unified)):
        return head._replace(points=_sum_plain(unified))

    levels: dict[object, _Series] = {}
    spreads: dict[tuple[str, ...], list[Distribution]] = {}
    order: dict[object, Point] = {}
    for its in unified:
        for point in its:
            if isinstance(point, Distribution):
                spreads.setdefault(point.labels, []).append(point)
                order.setdefault(point.labels, point)
                continue

            key = _key(point)
            series = levels.get(key)
            if series is None:
                series = levels[key] = _Series()
                order[key] = point

            series.parts.append(point.value)
            series.exemplar = later(series.exemplar, point.exemplar)

    if minus:
        return _rest(head, levels, spreads, minus)

    points: list[Point] = []
    for key, first in order.items():
        if isinstance(first, Distribution):
            points.append(add_up(spreads[first.labels]))
            continue

        series = levels[key]
        # When a total was begun is not added up: the first to begin it tells.
        created = isinstance(first, Sample) and first.name.endswith("_created")
        value = min(series.parts) if created else exact_sum(series.parts)
        points.append(first._replace(value=value, exemplar=series.exemplar))

    return head._replace(points=tuple(points))


def _is_plain(points: Sequence[Point]) -> bool:
    return all(type(p) is Number and p.exemplar is None for p in points)


def _sum_plain(given: Sequence[Sequence[Point]]) -> tuple[Point, ...]:
    """Add up numbers without exemplars, which most series of large services are."""
    columns = [{p.labels: p.value for p in its} for its in given]  # type: ignore[union-attr]
    keys = columns[0].keys()
    if any(column.keys() != keys for column in columns):
        keys = dict.fromkeys(key for column in columns for key in column).keys()

    rows = zip(*[[c.get(key, 0.0) for key in keys] for c in columns], strict=True)
    return tuple(map(Number, keys, map(exact_sum, rows)))  # type: ignore[arg-type]


def _rest(
    head: Family,
    levels: dict[object, _Series],
    spreads: dict[tuple[str, ...], list[Distribution]],
    minus: Sequence[Family],
) -> Family:
    known: dict[object, list[float]] = {}
    for family in minus:
        for point in family.points:
            value = point.sum if isinstance(point, Distribution) else point.value
            known.setdefault(_key(point), []).append(-value)

    points: list[Point] = []
    for total in minus[0].points:
        key = _key(total)
        if isinstance(total, Distribution):
            sums = [each.sum for each in spreads[total.labels]]
            rest = exact_sum([*sums, *known[key]])
            if rest:
                none = (0,) * len(total.counts)
                points.append(total._replace(counts=none, sum=rest, exemplars=()))
        elif not (isinstance(total, Sample) and total.name.endswith("_created")):
            rest = exact_sum([*levels[key].parts, *known[key]])
            if rest:
                points.append(total._replace(value=rest, exemplar=None))

    return head._replace(points=tuple(points))


def _unify(given: list[_Given]) -> tuple[Family, list[Sequence[Point]]]:
    """Give all points the same label names; one that a process lacks is empty."""
    head = given[0].family
    if all(one.family.labels == head.labels for one in given):
        return head, [one.family.points for one in given]

    names = tuple(dict.fromkeys(n for one in given for n in one.family.labels))
    unified: list[Sequence[Point]] = []
    for one in given:
        its = one.family.labels
        spots = [its.index(name) if name in its else None for name in names]
        unified.append([_relabelled(point, spots) for point in one.family.points])

    return head._replace(labels=names, points=tuple(unified[0]), attributes=()), unified


def _relabelled(point: Point, spots: Sequence[int | None]) -> Point:
    if isinstance(point, Sample):
        return point

    labels = tuple(["" if spot is None else point.labels[spot] for spot in spots])
    return point._replace(labels=labels)


def _key(point: Point) -> object:
    return (point.name, point.labels) if isinstance(point, Sample) else point.labels
