"""
CloudWatch's embedded metric format: datums as log events, each one line.

A metric's target is a number, or an array of up to 100 numbers, one for each recording:
the published form. A distribution of more recordings than that cannot be written so
without losing its count, unless in as many events as there are hundreds; it is written
as AWS' own exporters do, as an object of `Values`, `Counts`, `Count`, `Sum`, `Min` and
`Max`, and a statistic set as one of the last four.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

import orjson

from svcready.metrics._sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.metrics.sinks._cloudwatch._dimensions import Dims

__all__ = ["LARGEST_EVENT", "Emf", "Event"]

LARGEST_EVENT = 1024 * 1024 - 26
"""Most bytes of an event: CloudWatch Logs counts 26 for each (PutLogEvents)."""

_MOST_METRICS = 100
_MOST_VALUES = 100
_FEWEST_VALUES = 12
_EXACT = 2.0**53
_MOST_COMPARED = 8
_MINUTE = 60
_RESERVED = "_aws"

_Target = float | list[float] | dict[str, object]


class Event(NamedTuple):
    """One log event."""

    line: bytes
    """The event with its newline; empty if what is in it is too large for any."""
    datums: tuple[Datum, ...]


class _Metric:
    """One metric of an event, and the dimension sets that it is in."""

    __slots__ = ("_limit", "datums", "name", "sets", "target")

    def __init__(self, name: str, datum: Datum, *, statistic: bool) -> None:
        self.name = name
        self.datums = [datum]
        self.sets = [[name for name, _ in datum.dimensions]]
        self._limit = 0 if statistic else _MOST_VALUES
        self.target: _Target = _number(datum.value)
        if datum.sketch is not None:
            self.target = _statistics(datum) if statistic else _distribution(datum)

    @property
    def definition(self) -> dict[str, object]:
        datum = self.datums[0]
        definition: dict[str, object] = {"Name": self.name}
        if datum.unit != "None":
            definition["Unit"] = datum.unit

        if datum.resolution != _MINUTE:
            definition["StorageResolution"] = datum.resolution

        return definition

    def shrink(self) -> bool:
        """Merge values until fewer are left; False if there is nothing to merge."""
        datum = self.datums[0]
        if datum.sketch is None or not self._limit:
            return False

        self._limit //= 2
        if self._limit >= _FEWEST_VALUES:
            self.target = _values(datum, self._limit)
        else:
            self._limit, self.target = 0, _statistics(datum)

        return True

    def is_like(self, other: _Metric) -> bool:
        return (
            self.name == other.name
            and self.target == other.target
            and self.definition == other.definition
        )


class _Group:
    """Metrics with the same values of the same dimensions, their names distinct."""

    __slots__ = ("dimensions", "metrics")

    def __init__(self, dimensions: Dims) -> None:
        self.dimensions = dict(dimensions)
        self.metrics: dict[str, _Metric] = {}


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

    def events(
        self,
        datums: Iterable[Datum],
        *,
        namespace: str,
        time_ms: int,
        head: Mapping[str, str],
        properties: Mapping[str, str],
    ) -> Iterator[Event]:
        """
        Yield the events that hold *datums*, each of them once.

        Args:
            datums: What to write.
            namespace: Where CloudWatch puts it.
            time_ms: When it was recorded, in milliseconds since the epoch.
            head: Further members of `_aws`: the log group, for the agent.
            properties: Members of the event that are no dimensions; dimensions and
                metrics of the same name win.
        """
        for group in self._groups(datums):
            metrics = list(group.metrics.values())
            starts = range(0, len(metrics), _MOST_METRICS)
            waiting = [metrics[start : start + _MOST_METRICS] for start in starts]
            while waiting:
                some = waiting.pop(0)
                line = _line(group, some, namespace, time_ms, head, properties)
                if len(line) <= self._max_bytes:
                    yield Event(line, tuple([d for m in some for d in m.datums]))
                elif len(some) > 1:
                    half = len(some) // 2
                    waiting[:0] = [some[:half], some[half:]]
                elif some[0].shrink():
                    waiting.insert(0, some)
                else:
                    line = _line(group, some, namespace, time_ms, head, {})
                    fits = len(line) <= self._max_bytes
                    yield Event(line if fits else b"", tuple(some[0].datums))

    def _groups(self, datums: Iterable[Datum]) -> list[_Group]:
        by_dimensions: dict[Dims, list[_Group]] = {}
        for datum in datums:
            groups = by_dimensions.setdefault(datum.dimensions, [])
            taken = {_RESERVED, *(name for name, _ in datum.dimensions)}
            name = datum.name if datum.name not in taken else f"{datum.name}_value"
            statistic = datum.sketch is not None and self._statistic(datum.name)
            for piece in self._pieces(datum) if not statistic else (datum,):
                group = next((it for it in groups if name not in it.metrics), None)
                if group is None:
                    group = _Group(datum.dimensions)
                    groups.append(group)

                group.metrics[name] = _Metric(name, piece, statistic=statistic)

        found = [group for groups in by_dimensions.values() for group in groups]
        return _shared(found) if len(by_dimensions) > 1 else found

    def _pieces(self, datum: Datum) -> Iterable[Datum]:
        """Return *datum* in pieces of up to 100 distinct values, if that is wanted."""
        if not self._split or datum.sketch is None:
            return (datum,)

        found = datum.sketch.split(_MOST_VALUES)
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
    known: dict[tuple[str, object], list[tuple[_Group, _Metric]]] = {}
    for group in sorted(groups, key=lambda it: -len(it.dimensions)):
        own = group.dimensions.items()
        for name, metric in tuple(group.metrics.items()):
            sketch = metric.datums[0].sketch
            amount = metric.target if sketch is None else sketch.count
            others = known.setdefault((name, amount), [])
            for other, like in others:
                if own <= other.dimensions.items() and metric.is_like(like):
                    like.sets += metric.sets
                    like.datums += metric.datums
                    del group.metrics[name]
                    break
            else:
                if len(others) < _MOST_COMPARED:
                    others.append((group, metric))

    return [group for group in groups if group.metrics]


def _line(
    group: _Group,
    metrics: list[_Metric],
    namespace: str,
    time_ms: int,
    head: Mapping[str, str],
    properties: Mapping[str, str],
) -> bytes:
    directives: dict[str, dict[str, list[object]]] = {}
    targets: dict[str, object] = {}
    for metric in metrics:
        key = repr(metric.sets) if len(metric.sets) > 1 else ""
        directive = directives.get(key)
        if directive is None:
            directive = directives[key] = {"Dimensions": [*metric.sets], "Metrics": []}

        directive["Metrics"].append(metric.definition)
        targets[metric.name] = metric.target

    return orjson.dumps(
        {
            "_aws": {
                "Timestamp": time_ms,
                **head,
                "CloudWatchMetrics": [
                    {"Namespace": namespace, **each} for each in directives.values()
                ],
            },
            **properties,
            **group.dimensions,
            **targets,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _number(value: float) -> float:
    """Return *value* as JSON writes it shortest."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _distribution(datum: Datum) -> _Target:
    """Return a distribution in the published form, if its recordings fit into it."""
    assert datum.sketch is not None
    if datum.sketch.count > _MOST_VALUES:
        return _values(datum, _MOST_VALUES)

    values, counts, _ = datum.reduced(_MOST_VALUES)
    each = chain.from_iterable(map(repeat, values, counts))
    recordings = [_number(value) for value in each]
    return recordings if len(recordings) > 1 else recordings[0]


def _values(datum: Datum, limit: int) -> dict[str, object]:
    values, counts, _ = datum.reduced(limit)
    return {"Values": [_number(v) for v in values], "Counts": counts} | _statistics(
        datum
    )


def _statistics(datum: Datum) -> dict[str, object]:
    shown = datum.statistics()
    return {
        "Count": shown.samples,
        "Sum": _number(shown.sum),
        "Min": _number(shown.min),
        "Max": _number(shown.max),
    }
