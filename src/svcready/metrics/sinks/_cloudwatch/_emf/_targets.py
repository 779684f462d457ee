"""What a metric's name is bound to in an EMF event: numbers, arrays, objects."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready.metrics.sinks._cloudwatch._data import Datum

__all__ = ["MOST_VALUES", "Target", "distribution", "merged", "number", "statistics"]

MOST_VALUES = 100
"""Most members of an array."""
_EXACT = 2.0**53

Target = float | list[float] | dict[str, object]


def number(value: float) -> float:
    """Return *value* as JSON writes it shortest."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def distribution(datum: Datum) -> Target:
    """Return a distribution in the published form, if its recordings fit into it."""
    assert datum.sketch is not None
    if datum.sketch.count > MOST_VALUES:
        return merged(datum, MOST_VALUES)

    values, counts, _ = datum.reduced(MOST_VALUES)
    each = chain.from_iterable(map(repeat, values, counts))
    recordings = [number(value) for value in each]
    return recordings if len(recordings) > 1 else recordings[0]


def merged(datum: Datum, limit: int) -> dict[str, object]:
    """Return a distribution as at most *limit* values and how often each was."""
    values, counts, _ = datum.reduced(limit)
    return {"Values": [number(v) for v in values], "Counts": counts} | statistics(datum)


def statistics(datum: Datum) -> dict[str, object]:
    """Return a distribution as a statistic set."""
    shown = datum.statistics()
    return {
        "Count": shown.samples,
        "Sum": number(shown.sum),
        "Min": number(shown.min),
        "Max": number(shown.max),
    }
