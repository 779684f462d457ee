"""A metric of OpenTelemetry's meters: its series by whatever attributes they have."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from svcready._core.events import publish
from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments._cardinality import fullest
from svcready.metrics._instruments._children import (
    CounterChild,
    LockedCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._instrument import OTHER
from svcready.metrics._model import Family
from svcready.metrics.sources._otel._labels import exposition_of, known_unit, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.metrics._instruments._cardinality import Room
    from svcready.metrics._model import Distribution, Number

__all__ = ["Kept", "Limits", "Shape", "Stream"]

S = TypeVar("S", bound="Kept")

_MAX_NAMES = 64
_OVERFLOW = ((OTHER, OTHER),)

_Key = tuple[tuple[str, str], ...]


class Kept(Protocol):
    """What a series is kept in."""

    def reset(self) -> None:
        """Start again from zero."""
        ...


class Limits(NamedTuple):
    """What a runtime bounds the streams by."""

    max_series: int = 2000
    max_label: int = 200
    redact: Callable[[str], str] = str
    room: Room | None = None
    """What all metrics share."""
    buckets_for: Callable[[str], tuple[float, ...] | None] = lambda _: None


class Shape(NamedTuple):
    """What a metric was created with."""

    kind: str
    """`counter updowncounter gauge histogram`."""
    name: str
    unit: str
    help: str


class Stream(Generic[S]):
    """
    One metric and its series; the label names are those that were ever given.

    Args:
        shape: What it was created with.
        make: Makes what a series is kept in.
    """

    def __init__(self, shape: Shape, make: Callable[[], S]) -> None:
        self.shape = shape
        self._make = make
        self._unit = known_unit(shape.name, shape.unit)
        self._exposition = exposition_of(shape.kind, shape.name, self._unit)
        self._limits = Limits()
        self._series: dict[_Key, S] = {}
        self._spellings: dict[str, str] = {}
        self._rows: dict[_Key, tuple[str, ...]] = {}
        self._rows_width = 0
        # Only ever tried, never waited for: it lets one thread tell of the cap.
        self._cap_told = threading.Lock()
        atomic = adds_are_atomic()
        self._folded = CounterChild() if atomic else LockedCounterChild()

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._series)

    @property
    def capped(self) -> bool:
        """True once a series found no room."""
        return self._cap_told.locked()

    @property
    def folded(self) -> float:
        """How often attributes came that found no room."""
        return self._folded.read()

    @property
    def max_series(self) -> int:
        """How many series there may be."""
        return self._limits.max_series

    def limit(self, limits: Limits) -> None:
        """Take what bounds the series and their labels."""
        room, self._limits = self._limits.room, limits
        if limits.room is not None and limits.room is not room:
            limits.room.take(self.series)

    def find(self, scope: str, attributes: Mapping[str, object] | None) -> S | None:
        """
        Return what keeps the series of *attributes*; None if it found no room.

        Args:
            scope: The name of the meter.
            attributes: Of any types; equal sets in any order are one series.
        """
        limits = self._limits
        labels = labels_of(scope, attributes or {}, limits.max_label, limits.redact)
        key = tuple(sorted([(name, text) for name, (_, text) in labels.items()]))
        there = self._series.get(key)
        if there is not None:
            return there

        room = limits.room
        names = len(labels.keys() | self._spellings.keys())
        if len(self._series) >= limits.max_series or names > _MAX_NAMES:
            self._fold(None, labels)
            return None

        if room is not None and room.full:
            self._fold(room, labels)
            return None

        # Its names first, so that whoever reads a series knows them.
        for name, (attribute, _) in labels.items():
            self._spellings.setdefault(name, attribute)

        return self._keep(key)

    def other(self) -> S:
        """Return what keeps the one series of all that found no room."""
        return self._series.get(_OVERFLOW) or self._keep(_OVERFLOW)

    def unkept(self) -> S:
        """Return what takes recordings that are no good; nobody reads it."""
        return self._make()

    def offence(self, limit: int, *, together: bool = False) -> SeriesCapped:
        """Say by which label its series are so many that *limit* was reached."""
        names, rows = self._table(tuple(self._series.copy()))
        label, values = fullest(names, rows)
        sample = tuple([value for value in values if value and value != OTHER])
        return SeriesCapped(self.shape.name, limit, label, sample, together)

    def reset(self) -> None:
        """Start every series again from zero; for a forked child."""
        self._folded.reset()
        for child in self._series.copy().values():
            child.reset()

    def kept(self) -> tuple[S, ...]:
        """Return what keeps each series."""
        return tuple(self._series.copy().values())

    def table(self) -> tuple[tuple[str, ...], dict[tuple[str, ...], S]]:
        """Return the label names, and what keeps each series by their values."""
        series = self._series.copy()
        names, rows = self._table(tuple(series))
        return names, dict(zip(rows, series.values(), strict=True))

    def _table(
        self, keys: tuple[_Key, ...]
    ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        names = tuple(sorted(self._spellings.copy()))
        known = self._rows
        if len(names) != self._rows_width:
            known = self._rows = {}
            self._rows_width = len(names)

        rows = []
        for key in keys:
            row = known.get(key)
            if row is None or len(row) != len(names):
                row = known[key] = _row(key, names)

            rows.append(row)

        return names, rows

    def family(
        self, names: tuple[str, ...], points: tuple[Number | Distribution, ...]
    ) -> Family:
        """Return *points* as the family of this metric, whose labels are *names*."""
        kind, name, _, text = self.shape
        spelt = self._spellings
        return Family(
            name,
            self._exposition,
            kind,
            text,
            self._unit,
            names,
            points,
            "otel",
            "latest" if kind == "gauge" else "sum",
            tuple([spelt[label] for label in names]),
        )

    def _keep(self, key: _Key) -> S:
        made = self._make()
        # Atomic, and no lock: a finalizer may come here while its thread is here.
        child = self._series.setdefault(key, made)
        if child is made and self._limits.room is not None:
            self._limits.room.take()

        return child

    def _fold(self, full: Room | None, labels: dict[str, tuple[str, str]]) -> None:
        self._folded.inc()
        if not self._spellings:  # the one series so far has no label to tell it by
            for name, (attribute, _) in labels.items():
                self._spellings.setdefault(name, attribute)

        first = self._cap_told.acquire(blocking=False)
        if full is not None:
            full.tell()
        elif first:
            publish(self.offence(self._limits.max_series))


def _row(key: _Key, names: tuple[str, ...]) -> tuple[str, ...]:
    if key is _OVERFLOW or key == _OVERFLOW:
        return (OTHER,) * len(names)

    given = dict(key)
    return tuple([given.get(name, "") for name in names])
