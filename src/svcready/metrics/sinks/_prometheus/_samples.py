"""Writes the samples of families that another library recorded, as it gave them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._model import Sample
from svcready.metrics.sinks._prometheus._spelling import (
    check_name,
    escape,
    family_kind,
    label_order,
    spell_exemplar,
    spell_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._model import Family

__all__ = ["plain_head", "write_plain_samples", "write_samples"]

# Samples that only OpenMetrics knows; in plain text each is a gauge at the end.
_APART = ("_created", "_gcount", "_gsum")
_EXEMPLARY = {
    "counter": "_total",
    "histogram": "_bucket",
    "gaugehistogram": "_bucket",
}


def plain_head(name: str, kind: str, text: str) -> str:
    """Return the lines of plain text that stand before the samples of a family."""
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def write_samples(lines: list[str], family: Family) -> None:
    """
    Append *family*'s samples as OpenMetrics.

    Raises:
        ValueError: Something would be escaped, or has an exemplar and may not.
    """
    ending = _EXEMPLARY.get(family_kind(family))
    spell = _speller()
    for point in family.points:
        assert isinstance(point, Sample)
        tail = ""
        if point.exemplar is not None:
            if ending is None or not point.name.endswith(ending):
                raise ValueError(point.name)

            tail = spell_exemplar(point.exemplar)

        stamp = "" if point.timestamp is None else f" {point.timestamp}"
        lines.append(f"{spell(point)}{stamp}{tail}\n")


def write_plain_samples(lines: list[str], family: Family) -> None:
    """
    Append *family*'s samples as plain text.

    Raises:
        ValueError: Something would be escaped.
    """
    apart: dict[str, list[str]] = {family.exposition + end: [] for end in _APART}
    spell = _speller()
    for point in family.points:
        assert isinstance(point, Sample)
        stamp = ""
        if point.timestamp is not None:
            stamp = f" {int(float(point.timestamp) * 1000):d}"  # type: ignore[arg-type]

        apart.get(point.name, lines).append(f"{spell(point)}{stamp}\n")

    for name, set_apart in apart.items():
        if set_apart:
            lines.append(plain_head(name, "gauge", family.help))
            lines += set_apart


def _speller() -> Callable[[Sample], str]:
    """Return what spells a sample up to its value, and checks each name once."""
    legal: set[str] = set()
    orders: dict[tuple[str, ...], list[int]] = {}

    def spell(sample: Sample) -> str:
        name, labels = sample.name, sample.labels
        if name not in legal:
            check_name(name)
            legal.add(name)

        if not labels:
            return f"{name} {spell_number(sample.value)}"

        keys = tuple([key for key, _ in labels])
        order = orders.get(keys)
        if order is None:
            order = orders[keys] = label_order(keys)

        text = ",".join([f'{keys[i]}="{escape(labels[i][1])}"' for i in order])
        return f"{name}{{{text}}} {spell_number(sample.value)}"

    return spell
