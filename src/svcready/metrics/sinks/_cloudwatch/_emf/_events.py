"""
CloudWatch's embedded metric format: datums as log events, each one line.

A metric's target is a number, or an array of up to 100 numbers, one for each recording:
the published form. A distribution of more recordings than that cannot be written so
without losing its count, unless in as many events as there are hundreds; it is written
as AWS' own exporters do, as an object of `Values`, `Counts`, `Count`, `Sum`, `Min` and
`Max`, and a statistic set as one of the last four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._emf._targets import (
    MOST_VALUES,
    distribution,
    merged,
    statistics,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.metrics.sinks._cloudwatch._dimensions import Dims
    from svcready.metrics.sinks._cloudwatch._emf._targets import Target

__all__ = ["LARGEST_EVENT", "Emf", "Event"]

LARGEST_EVENT = 1024 * 1024 - 26
"""Most bytes of an event: CloudWatch Logs counts 26 for each (PutLogEvents)."""

_MOST_METRICS = 100
_FEWEST_VALUES = 12
_MOST_COMPARED = 8
_MOST_KEPT = 10_000
_MOST_WRITTEN = 1000
_MINUTE = 60
_RESERVED = "_aws"


class Event(NamedTuple):
    """One log event."""

    line: bytes
    """The event with its newline; empty if what is in it is too large for any."""
    datums: tuple[Datum, ...]


class _Group:
    """Metrics with the same values of the same dimensions, their names distinct."""

    __slots__ = ("datums", "dimensions", "limits", "names", "others", "targets")

    def __init__(self, dimensions: Dims) -> None:
        self.dimensions = dict(dimensions)
        self.names = [name for name, _ in dimensions]
        self.datums: dict[str, Datum] = {}
        self.targets: dict[str, Target] = {}
        self.others: dict[str, list[Datum]] = {}
        """Datums that are the same in fewer dimensions, by name."""
        self.limits: dict[str, int] = {}
        """To how many values a distribution is merged, where that is not 100."""

    def all_of(self, names: Iterable[str]) -> tuple[Datum, ...]:
        """Return everything that is said where *names* are."""
        if not self.others:
            return tuple([self.datums[name] for name in names])

        return tuple(
            [
                datum
                for name in names
                for datum in (self.datums[name], *self.others.get(name, ()))
            ]
        )

    def shrink(self, name: str) -> bool:
        """Merge values until fewer are left; False if there is nothing to merge."""
        datum, limit = self.datums[name], self.limits.get(name, MOST_VALUES)
        if datum.sketch is None or not limit:
            return False

        limit //= 2
        self.limits[name] = limit if limit >= _FEWEST_VALUES else 0
        small = self.limits[name] == 0
        self.targets[name] = statistics(datum) if small else merged(datum, limit)
        return True


class Emf:
    """
    Writes datums as events.

    Args:
        statistic: Tells which distributions, by name, are sent as count, sum, min and
            max alone.
        split: Whether a distribution of more than 100 distinct values is written in
            several pieces rather than merged into 100.
        max_bytes: Most bytes of an event, its newline included.
    """

    def __init__(
        self,
        *,
        statistic: Callable[[str], bool] = lambda _: False,
        split: bool = False,
        max_bytes: int = LARGEST_EVENT,
    ) -> None:
        self._statistic = statistic
        self._split = split
        self._max_bytes = max_bytes
        self._written: dict[tuple[object, ...], orjson.Fragment] = {}
        self._definitions: dict[tuple[str, str, int], dict[str, object]] = {}

    def events(
        self,
        datums: Iterable[Datum],
        *,
        namespace: str,
        time_ms: int,
        hints: Mapping[str, str],
        properties: Mapping[str, str],
    ) -> Iterator[Event]:
        """
        Yield the events that hold *datums*, each of them once.

        Args:
            datums: What to write.
            namespace: Where CloudWatch puts it.
            time_ms: When it was recorded, in milliseconds since the epoch.
            hints: Further members of `_aws`: the log group, for the agent.
            properties: Members of the event that are no dimensions; dimensions and
                metrics of the same name win.
        """
        head: dict[str, object] = {"Timestamp": time_ms, **hints}
        for group in self._groups(datums):
            names = list(group.datums)
            if len(names) <= _MOST_METRICS:
                line = self._line(group, names, namespace, head, properties)
                if len(line) <= self._max_bytes:
                    yield Event(line, group.all_of(names))
                    continue

            yield from self._in_parts(group, namespace, head, properties)

    def _in_parts(
        self,
        group: _Group,
        namespace: str,
        head: Mapping[str, object],
        properties: Mapping[str, str],
    ) -> Iterator[Event]:
        """Yield as many events as it takes, with values merged if one is too long."""
        names = list(group.datums)
        starts = range(0, len(names), _MOST_METRICS)
        waiting = [names[start : start + _MOST_METRICS] for start in starts]
        while waiting:
            some = waiting.pop(0)
            line = self._line(group, some, namespace, head, properties)
            if len(line) <= self._max_bytes:
                yield Event(line, group.all_of(some))
            elif len(some) > 1:
                half = len(some) // 2
                waiting[:0] = [some[:half], some[half:]]
            elif group.shrink(some[0]):
                waiting.insert(0, some)
            else:
                line = self._line(group, some, namespace, head, {})
                fits = len(line) <= self._max_bytes
                yield Event(line if fits else b"", group.all_of(some))

    def _groups(self, datums: Iterable[Datum]) -> list[_Group]:
        found: list[_Group] = []
        by_dimensions: dict[Dims, list[_Group]] = {}
        last: Dims | None = None
        groups: list[_Group] = []
        for datum in datums:
            if datum.dimensions is not last:  # most come together
                last = datum.dimensions
                groups = by_dimensions.setdefault(last, [])
                if not groups:
                    groups.append(_Group(last))
                    found += groups

            group, name = groups[0], datum.name
            if name in group.dimensions or name == _RESERVED:
                name = f"{name}_value"

            if datum.sketch is None and name not in group.datums:
                group.datums[name] = datum
                group.targets[name] = datum.value
                continue

            for piece in self._pieces(datum):
                place = next((it for it in groups if name not in it.datums), None)
                if place is None:
                    place = _Group(datum.dimensions)
                    groups.append(place)
                    found.append(place)

                self._put(place, name, piece)

        return _shared(found) if len(by_dimensions) > 1 else found

    def _put(self, group: _Group, name: str, datum: Datum) -> None:
        group.datums[name] = datum
        if datum.sketch is None:
            group.targets[name] = datum.value
        elif self._statistic(datum.name):
            group.limits[name] = 0
            group.targets[name] = statistics(datum)
        else:
            group.targets[name] = distribution(datum)

    def _line(
        self,
        group: _Group,
        names: list[str],
        namespace: str,
        head: Mapping[str, object],
        properties: Mapping[str, str],
    ) -> bytes:
        targets = group.targets
        if len(names) < len(targets):
            targets = {name: targets[name] for name in names}

        return orjson.dumps(
            {
                "_aws": {
                    **head,
                    "CloudWatchMetrics": self._directive(group, names, namespace),
                },
                **properties,
                **group.dimensions,
                **targets,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )

    def _directive(
        self, group: _Group, names: list[str], namespace: str
    ) -> orjson.Fragment | list[dict[str, object]]:
        """Return what CloudWatch is told to read, which seldom changes."""
        if group.others:
            return self._directives(group, names, namespace)

        datums = group.datums
        key = (
            namespace,
            *group.names,
            *[(name, datums[name].unit, datums[name].resolution) for name in names],
        )
        known = self._written.get(key)
        if known is None:
            if len(self._written) >= _MOST_WRITTEN:
                self._written.clear()

            written = orjson.dumps(self._directives(group, names, namespace))
            known = self._written[key] = orjson.Fragment(written)

        return known

    def _directives(
        self, group: _Group, names: list[str], namespace: str
    ) -> list[dict[str, object]]:
        own = [group.names]
        made: dict[str, tuple[list[list[str]], list[dict[str, object]]]] = {}
        for name in names:
            others = group.others.get(name, ())
            sets = own + [[key for key, _ in other.dimensions] for other in others]
            _, defined = made.setdefault(repr(sets), (sets, []))
            defined.append(self._definition(name, group.datums[name]))

        return [
            {"Namespace": namespace, "Dimensions": sets, "Metrics": defined}
            for sets, defined in made.values()
        ]

    def _definition(self, name: str, datum: Datum) -> dict[str, object]:
        key = (name, datum.unit, datum.resolution)
        known = self._definitions.get(key)
        if known is not None:
            return known

        if len(self._definitions) >= _MOST_KEPT:
            self._definitions.clear()

        made: dict[str, object] = {"Name": name}
        if datum.unit != "None":
            made["Unit"] = datum.unit

        if datum.resolution != _MINUTE:
            made["StorageResolution"] = datum.resolution

        self._definitions[key] = made
        return made

    def _pieces(self, datum: Datum) -> Iterable[Datum]:
        """Return *datum* in pieces of up to 100 distinct values, if that is wanted."""
        if not self._split or datum.sketch is None or self._statistic(datum.name):
            return (datum,)

        found = datum.sketch.split(MOST_VALUES)
        if len(found) == 1:
            return (datum,)

        pieces: list[Datum] = []
        for values, counts, _ in found:
            sketch = Sketch()
            for value, count in zip(values, counts, strict=True):
                sketch.observe(value, count)

            pieces.append(datum._replace(sketch=sketch))

        return pieces


def _shared(groups: list[_Group]) -> list[_Group]:
    """
    Write a metric once for all sets in which it is the same.

    A whole that has one part is equal to it: one event says both, if the dimensions
    of the whole are among those of the part.
    """
    known: dict[tuple[object, ...], list[_Group]] = {}
    for group in sorted(groups, key=lambda it: -len(it.names)):
        own = group.dimensions.items()
        for name, datum in tuple(group.datums.items()):
            target = group.targets[name]
            amount = datum.value if datum.sketch is None else datum.sketch.count
            key = (name, amount, datum.unit, datum.resolution)
            others = known.setdefault(key, [])
            for other in others:
                if own <= other.dimensions.items() and other.targets[name] == target:
                    other.others.setdefault(name, []).append(datum)
                    del group.datums[name], group.targets[name]
                    break
            else:
                if len(others) < _MOST_COMPARED:
                    others.append(group)

    return [group for group in groups if group.datums]
