"""The reading: what another process' layout wrote, as families again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._model import Distribution, Exemplar, Family, Number, Sample
from svcready.metrics._workers._layout import TOTALS, Published

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from svcready.metrics._model import Point

__all__ = ["Reading", "UnreadableError"]

_KINDS = TOTALS | {"updowncounter", "gauge", "info", "stateset", "unknown"}
_TEXTS = ("name", "exposition", "kind", "help", "unit", "origin", "workers")
_MODES = frozenset(("sum", "max", "min", "latest", "pid"))
_FORMS = {"each": 1, "latest": 2}
_MALFORMED = (ValueError, TypeError, LookupError, OverflowError, RecursionError)


class UnreadableError(Exception):
    """What another process should have written is something else."""


class _Batch(NamedTuple):
    """Series whose values follow one another."""

    start: int
    width: int
    keys: list[tuple[str, tuple[object, ...]]]
    """Name and labels; of a sample the labels are pairs, of others the name is ''."""
    bounds: tuple[float, ...] | None


class Reading:
    """Reads what a `Layout` of another process wrote, key by key as they come."""

    def __init__(self) -> None:
        self._families: list[tuple[Family, list[_Batch]]] = []
        self._size = 0

    def extend(self, lines: bytes) -> None:
        """
        Take further lines of keys.

        Raises:
            UnreadableError: They are no such lines.
        """
        try:
            for line in lines.splitlines():
                self._take(*json.loads(line))
        except _MALFORMED as error:
            raise UnreadableError(f"keys: {error!r:.200}") from None

    def families(
        self, values: array[float], extras: bytes = b"{}"
    ) -> tuple[Published, ...]:
        """
        Return the families with their values.

        Args:
            values: In the order of the keys; series beyond its end are left out.
            extras: As it was encoded.

        Raises:
            UnreadableError: They are not what the keys call for.
        """
        try:
            found = json.loads(extras)
            absent = frozenset(found.get("absent", ()))
            exemplars = _exemplars(found.get("exemplars", ()))
            return tuple(
                _published(family, batches, values, absent, exemplars)
                for family, batches in self._families
            )
        except (*_MALFORMED, AttributeError) as error:
            raise UnreadableError(f"values: {error!r:.200}") from None

    def _take(self, word: str, about: object, *rest: object) -> None:
        if word == "family":
            self._families.append((_family(about), []))
            return

        index, keys = rest
        family, batches = self._families[index]  # type: ignore[call-overload]
        bounds = None
        if word == "buckets":
            bounds = tuple(map(float, about))  # type: ignore[call-overload]
            if list(bounds) != sorted(set(bounds)):
                raise ValueError("bounds do not rise")

        width = _FORMS[word] if bounds is None else len(bounds) + 2
        named = None if about == "Sample" else len(family.labels)
        read = [_key(key, named) for key in keys]  # type: ignore[attr-defined]
        batch = _Batch(self._size, width, read, bounds)
        batches.append(batch)
        self._size += batch.width * len(batch.keys)


def _family(about: object) -> Family:
    texts: dict[str, object] = dict(about)  # type: ignore[call-overload]
    labels = texts.pop("labels")
    names = tuple([_text(label) for label in labels])  # type: ignore[attr-defined]
    name, spelt, kind, text, unit, origin, mode = [_text(texts[f]) for f in _TEXTS]
    family = Family(name, spelt, kind, text, unit, names, (), origin, mode)
    if family.kind not in _KINDS or family.workers not in _MODES:
        raise ValueError(family.kind)

    return family


def _key(key: object, named: int | None) -> tuple[str, tuple[object, ...]]:
    if named is None:
        name: object
        pairs: Iterable[tuple[object, object]]
        name, pairs = key  # type: ignore[misc]
        return _text(name), tuple([(_text(k), _text(v)) for k, v in pairs])

    labels = tuple([_text(value) for value in key])  # type: ignore[attr-defined]
    if len(labels) != named:
        raise ValueError("labels do not match their names")

    return "", labels


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r:.40} is no text")

    return value


def _exemplars(given: Collection[list[object]]) -> dict[int, dict[int, Exemplar]]:
    exemplars: dict[int, dict[int, Exemplar]] = {}
    for place, bucket, labels, value, at in given:
        pairs = tuple([(_text(key), _text(text)) for key, text in labels])  # type: ignore[attr-defined]
        seconds = None if at is None else float(at)  # type: ignore[arg-type]
        exemplar = Exemplar(pairs, float(value), seconds)  # type: ignore[arg-type]
        exemplars.setdefault(place, {})[bucket] = exemplar  # type: ignore[arg-type, index]

    return exemplars


def _published(
    family: Family,
    batches: list[_Batch],
    values: array[float],
    absent: Collection[int],
    exemplars: Mapping[int, dict[int, Exemplar]],
) -> Published:
    points: list[Point] = []
    stamps: list[float] = []
    for batch in batches:
        if batch.bounds is not None:
            points += _distributions(batch, values, absent, exemplars)
            continue

        end = min(len(values), batch.start + len(batch.keys) * batch.width)
        places: Sequence[int] = range(batch.start, end, batch.width)
        if absent:
            places = [place for place in places if place not in absent]

        for place in places:
            name, labels = batch.keys[(place - batch.start) // batch.width]
            exemplar = exemplars[place].get(0) if place in exemplars else None
            if name:
                sample = Sample(name, labels, values[place], None, exemplar)  # type: ignore[arg-type]
                points.append(sample)
            else:
                points.append(Number(labels, values[place], exemplar))  # type: ignore[arg-type]

        if family.workers == "latest":
            stamps += [values[place + 1] for place in places]

    return Published(family._replace(points=tuple(points)), tuple(stamps))


def _distributions(
    batch: _Batch,
    values: array[float],
    absent: Collection[int],
    exemplars: Mapping[int, dict[int, Exemplar]],
) -> Iterator[Distribution]:
    assert batch.bounds is not None
    place = batch.start
    for _, labels in batch.keys:
        end = place + batch.width - 1
        if end >= len(values):
            return

        if place not in absent:
            kept: tuple[Exemplar | None, ...] = ()
            if place in exemplars:
                found = exemplars[place]
                kept = tuple([found.get(n) for n in range(batch.width - 1)])

            counts = tuple(map(int, values[place:end]))
            yield Distribution(labels, batch.bounds, counts, values[end], kept)  # type: ignore[arg-type]

        place = end + 1
