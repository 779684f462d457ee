"""Datums as PutMetricData takes them, with the bytes that they make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._put._checks import (
    MOST_VALUES,
    datum_fault,
    number_fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.metrics.sinks._cloudwatch._data import Datum

__all__ = ["Entry", "Member", "Members", "Unsendable", "body_bytes"]

Member = dict[str, object]
"""A `MetricDatum` of the API."""

_EXACT = 2.0**53
_FRAME = '{"Namespace": , "MetricData": []}'
_COMMA = len(", ")


class Unsendable(Exception):
    """The service would refuse a datum; the text says for what."""


class Entry(NamedTuple):
    """A datum on its way."""

    datum: Datum
    """What is to be kept if it cannot be sent."""
    member: Member
    size: int
    """Its bytes in a request."""


class Members:
    """
    Makes the members of requests.

    Args:
        as_statistics: Tells by a metric's name whether its distributions go as count,
            sum, min and max alone.
        split: Send distributions of many values as several datums rather than merge
            values that are near each other.
    """

    def __init__(self, as_statistics: Callable[[str], bool], *, split: bool) -> None:
        self._as_statistics = as_statistics
        self._split = split

    def entries(self, datum: Datum, stamp_s: int) -> Iterator[Entry]:
        """
        Make what is sent of *datum*; nothing of an empty distribution.

        Args:
            datum: Of one interval, or several merged.
            stamp_s: When that began, in whole seconds since the epoch.

        Raises:
            Unsendable: The service would refuse it.
        """
        fault = datum_fault(datum)
        if fault:
            raise Unsendable(fault)

        for piece in self._pieces(datum):
            member = self._member(piece, stamp_s)
            if member is not None:
                # As botocore writes it: the timestamp is a whole number in JSON.
                yield Entry(piece, member, len(json.dumps(member)))

    def _pieces(self, datum: Datum) -> list[Datum]:
        sketch = datum.sketch
        if sketch is None or not self._split or self._as_statistics(datum.name):
            return [datum]

        return [datum._replace(sketch=piece) for piece in _split(sketch)]

    def _member(self, datum: Datum, stamp_s: int) -> Member | None:
        numbers = self._numbers(datum)
        if numbers is None:
            return None

        member: Member = {"MetricName": datum.name, "Timestamp": stamp_s, **numbers}
        if datum.dimensions:
            member["Dimensions"] = [
                {"Name": name, "Value": value} for name, value in datum.dimensions
            ]

        if datum.unit != "None":
            member["Unit"] = datum.unit

        if datum.resolution == 1:
            member["StorageResolution"] = 1

        return member

    def _numbers(self, datum: Datum) -> Member | None:
        sketch = datum.sketch
        if sketch is None:
            return {"Value": _number(datum.value)}

        if not sketch.count:
            return None

        if self._as_statistics(datum.name):
            statistics = datum.statistics()
            return {
                "StatisticValues": {
                    "SampleCount": statistics.samples,
                    "Sum": _number(statistics.sum),
                    "Minimum": _number(statistics.min),
                    "Maximum": _number(statistics.max),
                }
            }

        reduced = datum.reduced(MOST_VALUES)
        values = _short([_number(value) for value in reduced.values])
        counts = list(reduced.counts)
        if counts == [1]:
            return {"Value": values[0]}

        if all(count == 1 for count in counts):  # the default of each
            return {"Values": values}

        return {"Values": values, "Counts": counts}


def body_bytes(namespace: str, entries_bytes: int, entries: int) -> int:
    """Return the bytes of a request's body, before compression."""
    frame = len(_FRAME) + len(json.dumps(namespace))
    return frame + entries_bytes + _COMMA * max(0, entries - 1)


def _split(sketch: Sketch) -> list[Sketch]:
    pieces = []
    for values, counts, _ in sketch.split(MOST_VALUES):
        piece = Sketch()  # so that a piece that cannot be sent is merged back
        for value, count in zip(values, counts, strict=True):
            piece.observe(value, count)

        pieces.append(piece)

    return pieces


def _short(values: list[float]) -> list[float]:
    """
    Return *values* with nine digits each, but for the least and the greatest.

    Half the bytes of a distribution are digits that mean nothing: they cost requests,
    and the CPU that compresses them. Values that then were the same stay as they are,
    for each may be listed only once.
    """
    short = [values[0], *[float(f"{v:.9g}") for v in values[1:-1]], *values[1:][-1:]]
    return short if len(set(short)) == len(values) else values


def _number(value: float) -> float:
    """Return *value* in its shortest spelling."""
    fault = number_fault(value)
    if fault:
        raise Unsendable(fault)

    return int(value) if abs(value) < _EXACT and value == int(value) else value
