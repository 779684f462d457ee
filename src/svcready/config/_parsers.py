"""How what was said becomes values: each parser raises ValueError if it cannot."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise

from svcready._core.identity import parse_attributes

__all__ = [
    "BYTES",
    "MOST_BOUNDS",
    "SECONDS",
    "PartlyWrongError",
    "amount",
    "parse_bounds",
    "parse_flag",
    "parse_names",
    "parse_number",
    "parse_pairs",
    "parse_rate",
    "parse_ratio",
    "parse_text",
    "within",
]

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_AMOUNT = r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z]*)\s*"
SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SECONDS |= {"d": 86400.0, "us": 1e-6}
BYTES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2}
BYTES |= {"mib": 1024**2, "mb": 1000**2, "g": 1024**3, "gib": 1024**3, "gb": 1000**3}
_PER = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0}
_PER |= {"h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}
_LONGEST_NUMBER = 64
MOST_BOUNDS = 200


class PartlyWrongError(ValueError):
    """
    Some entries of a list are wrong and the others can be used.

    Args:
        value: What is left when the wrong entries are taken out.
        wrong: The wrong entries, as they were written.
        use: What to use in place of their wrong parts; empty: whatever is allowed.
    """

    def __init__(self, value: object, wrong: tuple[str, ...], use: str = "") -> None:
        self.value = value
        self.wrong = wrong
        self.use = use
        super().__init__(wrong)


def parse_flag(raw: object) -> bool:
    """Read true/false, yes/no, on/off or 1/0."""
    if isinstance(raw, bool):
        return raw

    word = str(raw).strip().lower()
    if word in _TRUE:
        return True

    if word in _FALSE:
        return False

    raise ValueError(word)


def parse_text(raw: object) -> str:
    """Read printable text on one line."""
    if not isinstance(raw, str):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    text = raw.strip()
    if not text.isprintable():  # line breaks, escapes, undecodable bytes of the system
        raise ValueError(raw)

    return text


def parse_names(raw: object) -> tuple[str, ...]:
    """Read a list separated by commas, or a native one."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004

    return tuple(text for part in parts if (text := parse_text(part)))


def parse_number(raw: object) -> float:
    """Read a finite number."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(raw)  # noqa: TRY004 - a value's fault, whatever its type

    if isinstance(raw, str) and len(raw) > _LONGEST_NUMBER:
        raise ValueError(raw)

    try:
        value = float(raw)
    except OverflowError as error:  # a whole number of hundreds of digits in a file
        raise ValueError(raw) from error

    if not math.isfinite(value):
        raise ValueError(raw)

    return value


def parse_ratio(raw: object) -> float:
    """Read `5%` or `0.05`, from 0 to 1."""
    if isinstance(raw, str) and raw.strip().endswith("%"):
        return within(parse_number(raw.strip()[:-1]) / 100.0, 0.0, 1.0)

    return within(parse_number(raw), 0.0, 1.0)


def amount(raw: object, units: dict[str, float] | dict[str, int]) -> float:
    """Read a number with one of *units*, and return it in the plain one."""
    if not isinstance(raw, str):
        return parse_number(raw)

    match = re.fullmatch(_AMOUNT, raw) if len(raw) <= _LONGEST_NUMBER else None
    if match is None or match[2].lower() not in units:
        raise ValueError(raw)

    return parse_number(match[1]) * units[match[2].lower()]


def parse_rate(raw: object) -> float:
    """Read times per second, or `10/m`."""
    if not isinstance(raw, str) or "/" not in raw:
        return within(parse_number(raw), 0.0, math.inf)

    times, _, per = raw.partition("/")
    if per.strip().lower() not in _PER:
        raise ValueError(raw)

    return within(parse_number(times), 0.0, math.inf) / _PER[per.strip().lower()]


def parse_bounds(raw: object) -> tuple[float, ...]:
    """Read ascending numbers separated by commas."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= MOST_BOUNDS:
        raise ValueError(raw)

    bounds = tuple(parse_number(part) for part in parts)
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(raw)

    return bounds


def parse_pairs(raw: object) -> tuple[tuple[str, str], ...]:
    """Read `key=value` pairs, or a native table."""
    wrong: list[str] = []
    if isinstance(raw, str):
        pairs, wrong = parse_attributes(raw)
    elif isinstance(raw, Mapping | tuple):
        given = raw.items() if isinstance(raw, Mapping) else raw
        pairs = {parse_text(key): parse_text(value) for key, value in given}
    else:
        raise ValueError(raw)  # noqa: TRY004

    value = tuple(pairs.items())
    if wrong:
        raise PartlyWrongError(value, tuple(wrong))

    return value


def within(value: float, low: float, high: float) -> float:
    """Return *value* if it is between two bounds, both included."""
    if not low <= value <= high:
        raise ValueError(value)

    return value
