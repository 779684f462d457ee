"""How Prometheus' formats spell names, labels, numbers and exemplars."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from svcready.metrics._instruments._units import unit_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._model import Exemplar, Family

    Labels = tuple[str, ...]

__all__ = [
    "bare_labels",
    "check_name",
    "escape",
    "family_kind",
    "family_unit",
    "fitting",
    "label_order",
    "label_writer",
    "sample_name",
    "spell_exemplar",
    "spell_number",
]

_SUFFIXES = {"counter": "_total", "info": "_info"}
# Narrower than what Prometheus takes: how the formats escape everything else differs
# (a colon in a name, say) and is left to prometheus_client.
_LEGAL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST_EXEMPLAR = 128
_PLAINLY = 1_000_000  # Go begins to write exponents here


def family_kind(family: Family) -> str:
    """Return what Prometheus calls the kind of *family*."""
    return "gauge" if family.kind == "updowncounter" else family.kind


def family_unit(family: Family) -> str:
    """Return the unit that *family* is said to have, which must be in its name."""
    if family.origin == "prometheus_client":
        return family.unit

    word = unit_word(family.unit)
    return word if word and family.exposition.endswith("_" + word) else ""


def sample_name(family: Family) -> str:
    """Return the name of the samples of a family of numbers."""
    return family.exposition + _SUFFIXES.get(family.kind, "")


def check_name(name: str) -> None:
    """
    Pass a name that every format writes as it is.

    Raises:
        ValueError: It would be escaped or quoted in some of them.
    """
    if not _LEGAL.fullmatch(name):
        raise ValueError(name)


def escape(text: str) -> str:
    """Escape a label's value, or a help text in OpenMetrics."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def spell_number(value: float) -> str:
    """Spell a number as Go does."""
    kind: type = type(value)
    if kind is int and -_PLAINLY < value < _PLAINLY:
        return f"{value}.0"

    number = float(value)
    if -_PLAINLY < number < _PLAINLY:
        return repr(number)

    from prometheus_client.utils import floatToGoString

    spelt: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return spelt


def label_order(names: Labels) -> list[int]:
    """
    Return the places of *names* as they sort.

    Raises:
        ValueError: One is there twice, or would be escaped.
    """
    if len({*names}) != len(names):
        raise ValueError(names)

    for name in names:
        check_name(name)

    return sorted(range(len(names)), key=names.__getitem__)


def label_writer(names: Labels) -> Callable[[Labels], tuple[str, str]]:
    """
    Return what writes label values: `a="1",` which sorts before `le`, and `,z="2"`.

    Raises:
        ValueError: The names are not fit; values raise it if they are not as many.
    """
    order = label_order(names)
    first = [i for i in order if names[i] < "le"]
    last = [i for i in order if names[i] >= "le"]

    def write(values: Labels) -> tuple[str, str]:
        if len(values) != len(names):
            raise ValueError(values)

        before = "".join([f'{names[i]}="{escape(values[i])}",' for i in first])
        after = "".join([f',{names[i]}="{escape(values[i])}"' for i in last])
        return before, after

    return write


def bare_labels(before: str, after: str) -> str:
    """Return a series' labels without `le`, in braces, and the space behind them."""
    inner = f"{before[:-1]}{after}" if before else after[1:]
    return f"{{{inner}}} " if inner else " "


def fitting(
    exemplar: Exemplar | None, low: float = -math.inf, high: float = math.inf
) -> Exemplar | None:
    """
    Return *exemplar* if OpenMetrics takes it.

    Args:
        exemplar: Its label set may have 128 characters.
        low: Its value must be above this, the bucket's lower bound.
        high: Its value must not be above this, the bucket's upper bound.
    """
    if exemplar is None:
        return None

    inside = low < exemplar.value <= high
    if not inside and (low, high) != (-math.inf, math.inf):
        return None

    length = sum(len(key) + len(value) for key, value in exemplar.labels)
    return exemplar if length <= _LONGEST_EXEMPLAR else None


def spell_exemplar(exemplar: Exemplar | None) -> str:
    """Return what stands behind a sample's value in OpenMetrics."""
    if exemplar is None:
        return ""

    pairs = sorted(dict(exemplar.labels).items())
    labels = ",".join([f'{key}="{escape(value)}"' for key, value in pairs])
    stamp = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {{{labels}}} {spell_number(exemplar.value)}{stamp}"
