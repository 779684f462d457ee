"""Our renderer of the text formats, byte for byte as prometheus_client writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready.metrics._model import Distribution, Number
from svcready.metrics.sinks._prometheus._samples import (
    plain_head,
    write_plain_samples,
    write_samples,
)
from svcready.metrics.sinks._prometheus._spelling import (
    bare_labels,
    check_name,
    escape,
    family_kind,
    family_unit,
    fitting,
    label_writer,
    sample_name,
    spell_exemplar,
    spell_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.metrics._model import Family

    Labels = tuple[str, ...]

__all__ = ["TextRenderer"]

T = TypeVar("T")

# Every kind, and what plain text calls those that it does not have.
_KINDS = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "summary": "summary",
    "info": "gauge",
    "stateset": "gauge",
    "gaugehistogram": "histogram",
    "unknown": "untyped",
}
_SPARE = 64


class _Texts(dict["Labels", T], Generic[T]):
    """
    What was written of the labels of each series, made when it is first asked for.

    Args:
        make: Writes the labels of one series.
    """

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Labels], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, labels: Labels) -> T:
        text = self[labels] = self._make(labels)
        return text

    def trim(self, series: int) -> None:
        """Forget what was written, if most of the series are gone."""
        if len(self) > 2 * series + _SPARE:
            self.clear()


class TextRenderer:
    """
    Writes families as plain text (0.0.4 and 1.0.0) or as OpenMetrics 1.0.

    The text of a series' labels is made once and kept for as long as the family has
    the series, some 200 bytes each: making it is most of the work.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, Labels], _Texts[str]] = {}
        self._distributions: dict[tuple[str, Labels], _Texts[tuple[str, str]]] = {}

    def write(self, family: Family, *, openmetrics: bool) -> bytes:
        """
        Write one family.

        Args:
            family: What to write.
            openmetrics: In OpenMetrics rather than in plain text.

        Raises:
            Exception: It holds what this renderer does not know, or what cannot be
                written at all; prometheus_client is the one to tell.
        """
        name, kind, points = family.exposition, family_kind(family), family.points
        check_name(name)
        if openmetrics:
            unit = family_unit(family)
            lines = [
                f"# HELP {name} {escape(family.help)}\n# TYPE {name} {kind}\n",
                f"# UNIT {name} {unit}\n" if unit else "",
            ]
        else:
            lines = [plain_head(sample_name(family), _KINDS[kind], family.help)]

        if kind not in _KINDS:
            raise ValueError(kind)

        (shape,) = {*map(type, points)} or {Number}

        if shape is Number:
            exemplars = openmetrics and kind == "counter"
            self._write_numbers(lines, family, exemplars=exemplars)
        elif shape is Distribution:
            self._write_distributions(lines, family, openmetrics=openmetrics)
        elif openmetrics:
            write_samples(lines, family)
        else:
            write_plain_samples(lines, family)

        return "".join(lines).encode()

    def keep_only(self, families: Iterable[Family]) -> None:
        """Forget the labels of all families but these."""
        known = {(family.exposition, family.labels) for family in families}
        for kept in (self._numbers, self._distributions):
            for key in tuple(kept):
                if key not in known:
                    kept.pop(key, None)

    def _write_numbers(
        self, lines: list[str], family: Family, *, exemplars: bool
    ) -> None:
        name = sample_name(family)
        texts = self._numbers.get((family.exposition, family.labels))
        if texts is None:
            write = label_writer(family.labels)
            texts = _Texts(lambda labels: bare_labels(*write(labels)))
            self._numbers[family.exposition, family.labels] = texts

        texts.trim(len(family.points))
        points: tuple[Number, ...] = family.points  # type: ignore[assignment]
        if exemplars and any(point[2] for point in points):
            for labels, value, exemplar in points:
                tail = spell_exemplar(fitting(exemplar))
                lines.append(f"{name}{texts[labels]}{spell_number(value)}{tail}\n")
        else:
            lines += [
                f"{name}{texts[labels]}{spell_number(value)}\n"
                for labels, value, _ in points
            ]

    def _write_distributions(
        self, lines: list[str], family: Family, *, openmetrics: bool
    ) -> None:
        if "le" in family.labels:
            raise ValueError(family.labels)

        name = family.exposition
        texts = self._distributions.get((name, family.labels))
        if texts is None:
            texts = _Texts(label_writer(family.labels))
            self._distributions[name, family.labels] = texts

        texts.trim(len(family.points))
        bounds: tuple[float, ...] | None = None
        middles: list[str] = []
        points: tuple[Distribution, ...] = family.points  # type: ignore[assignment]
        for point in points:
            if point.bounds is not bounds:
                bounds = point.bounds
                middles = [f'le="{spell_number(b)}"' for b in bounds] + ['le="+Inf"']

            before, after = texts[point.labels]
            start, end = f"{name}_bucket{{{before}", f"{after}}} "
            totals = _cumulated(point.counts)
            if openmetrics and point.exemplars:
                lines += [
                    f"{start}{middle}{end}{total}{tail}\n"
                    for middle, total, tail in zip(
                        middles, totals, _exemplars(point), strict=True
                    )
                ]
            else:
                lines += [
                    f"{start}{middle}{end}{total}\n"
                    for middle, total in zip(middles, totals, strict=True)
                ]

            # OpenMetrics: with a negative bound the sum may fall, so it is no counter.
            if not bounds or bounds[0] >= 0:
                labels = bare_labels(before, after)
                lines.append(f"{name}_count{labels}{totals[-1]}\n")
                lines.append(f"{name}_sum{labels}{spell_number(point.sum)}\n")


def _cumulated(counts: tuple[int, ...]) -> list[str]:
    total, spelt = 0, "0.0"
    found = []
    for count in counts:
        if count:
            total += count
            spelt = spell_number(total)

        found.append(spelt)

    return found


def _exemplars(point: Distribution) -> list[str]:
    edges = (-math.inf, *point.bounds, math.inf)
    return [
        spell_exemplar(fitting(exemplar, low, high))
        for exemplar, low, high in zip(
            point.exemplars, edges[:-1], edges[1:], strict=True
        )
    ]
