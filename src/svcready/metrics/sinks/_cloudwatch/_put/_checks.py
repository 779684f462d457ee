"""PutMetricData's rules for one datum, because one that is bad refuses its request."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from svcready.metrics.sinks._cloudwatch._texts import UNITS

if TYPE_CHECKING:
    from svcready.metrics.sinks._cloudwatch._data import Datum

__all__ = ["LARGEST", "MOST_VALUES", "datum_fault", "number_fault"]

LARGEST = 2.0**360
"""Values lie between minus this and this."""
MOST_VALUES = 150
"""Distinct values in one datum."""
_LONGEST_NAME = 255
_LONGEST_VALUE = 1024
_MOST_DIMENSIONS = 30
_RESOLUTIONS = (1, 60)


def datum_fault(datum: Datum) -> str:
    """Return what the service would refuse in *datum*'s texts; empty if nothing."""
    if not _is_text(datum.name, _LONGEST_NAME):
        return "name"

    if datum.unit not in UNITS:
        return "unit"

    if datum.resolution not in _RESOLUTIONS:
        return "resolution"

    names = [name for name, _ in datum.dimensions]
    if len(names) > _MOST_DIMENSIONS or len(set(names)) < len(names):
        return "dimensions"

    for name, value in datum.dimensions:
        if not _is_text(name, _LONGEST_NAME) or name.startswith(":"):
            return "dimension name"

        if not _is_text(value, _LONGEST_VALUE):
            return "dimension value"

    return ""


def number_fault(value: float) -> str:
    """Return what the service would refuse in *value*; empty if nothing."""
    return "" if isfinite(value) and -LARGEST <= value <= LARGEST else "value"


def _is_text(text: str, longest: int) -> bool:
    good = 0 < len(text) <= longest and text.isascii() and text.isprintable()
    return good and not text.isspace()
