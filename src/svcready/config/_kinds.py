"""The kinds of values that settings have: how each is read, bounded and described."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready._core.identity import parse_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BOUNDS",
    "COUNT",
    "DURATION",
    "FLAG",
    "NAMES",
    "PAIRS",
    "RATE",
    "RATIO",
    "SIZE",
    "TEXT",
    "Kind",
    "PartlyWrongError",
    "choice",
    "duration",
    "integer",
    "matching",
    "number",
    "size",
    "words",
]

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_AMOUNT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z]*)\s*")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SECONDS |= {"d": 86400.0, "us": 1e-6}
_BYTES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2}
_BYTES |= {"mib": 1024**2, "mb": 1000**2, "g": 1024**3, "gib": 1024**3, "gb": 1000**3}
_PER = {"s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0}
_PER |= {"h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}
_LONGEST_DAYS = 366 * 100
_LONGEST_NUMBER = 64
_MOST_BOUNDS = 200


class PartlyWrongError(ValueError):
    """
    Some entries of a list are wrong and the others can be used.

    Args:
        value: What is left when the wrong entries are taken out.
        wrong: The wrong entries, as they were written.
    """

    def __init__(self, value: object, wrong: tuple[str, ...]) -> None:
        self.value = value
        self.wrong = wrong
        super().__init__(wrong)


class Kind(Generic[T]):
    """
    One kind of value.

    Args:
        name: The type as the reference table shows it: `duration`, `flag`, ...
        parse: Makes a value of a variable's text or of a native value (a file's or
            an argument's); raises ValueError if it cannot.
        allowed: What is allowed, as it ends the sentence "... is not allowed: use".
        unit: The unit of the plain number (`s`, `bytes`), or an empty string.
        show: Writes a value as a variable would spell it.
    """

    __slots__ = ("allowed", "name", "parse", "show", "unit")

    def __init__(
        self,
        name: str,
        parse: Callable[[object], T],
        allowed: str,
        *,
        unit: str = "",
        show: Callable[[T], str] = str,
    ) -> None:
        self.name = name
        self.parse = parse
        self.allowed = allowed
        self.unit = unit
        self.show = show


def _parse_flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw

    word = str(raw).strip().lower()
    if word in _TRUE:
        return True

    if word in _FALSE:
        return False

    raise ValueError(word)


def _parse_text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError(raw)  # noqa: TRY004 - one kind of error means "not allowed"

    text = raw.strip()
    if not text.isprintable():  # line breaks, escapes, undecodable bytes of the system
        raise ValueError(raw)

    return text


def _parse_names(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004

    return tuple(text for part in parts if (text := _parse_text(part)))


def _parse_number(raw: object) -> float:
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


def _parse_ratio(raw: object) -> float:
    if isinstance(raw, str) and raw.strip().endswith("%"):
        return _within(_parse_number(raw.strip()[:-1]) / 100.0, 0.0, 1.0)

    return _within(_parse_number(raw), 0.0, 1.0)


def _amount(raw: object, units: dict[str, float] | dict[str, int]) -> float:
    if not isinstance(raw, str):
        return _parse_number(raw)

    match = _AMOUNT.fullmatch(raw) if len(raw) <= _LONGEST_NUMBER else None
    if match is None or match[2].lower() not in units:
        raise ValueError(raw)

    return _parse_number(match[1]) * units[match[2].lower()]


def _parse_rate(raw: object) -> float:
    if not isinstance(raw, str) or "/" not in raw:
        return _within(_parse_number(raw), 0.0, math.inf)

    times, _, per = raw.partition("/")
    if per.strip().lower() not in _PER:
        raise ValueError(raw)

    return _within(_parse_number(times), 0.0, math.inf) / _PER[per.strip().lower()]


def _parse_bounds(raw: object) -> tuple[float, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= _MOST_BOUNDS:
        raise ValueError(raw)

    bounds = tuple(_parse_number(part) for part in parts)
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(raw)

    return bounds


def _parse_pairs(raw: object) -> tuple[tuple[str, str], ...]:
    wrong: list[str] = []
    if isinstance(raw, str):
        pairs, wrong = parse_attributes(raw)
    elif isinstance(raw, Mapping | tuple):
        given = raw.items() if isinstance(raw, Mapping) else raw
        pairs = {_parse_text(key): _parse_text(value) for key, value in given}
    else:
        raise ValueError(raw)  # noqa: TRY004

    value = tuple(pairs.items())
    if wrong:
        raise PartlyWrongError(value, tuple(wrong))

    return value


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(value)

    return value


def _range(low: float, high: float) -> str:
    return f"from {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"


def choice(*words: str) -> Kind[str]:
    """Return the kind of one of *words*, in any case; the default comes first."""
    spelt = {word.lower(): word for word in words}

    def parse(raw: object) -> str:
        word = _parse_text(raw).lower()
        if word not in spelt:
            raise ValueError(raw)

        return spelt[word]

    return Kind("choice", parse, " | ".join(words))


def words(*known: str) -> Kind[tuple[str, ...]]:
    """Return the kind of lists of *known* words, in any case; others are left out."""
    spelt = {word.lower(): word for word in known}

    def parse(raw: object) -> tuple[str, ...]:
        given = _parse_names(raw)
        wrong = tuple(word for word in given if word.lower() not in spelt)
        value = tuple(spelt[word.lower()] for word in given if word.lower() in spelt)
        if wrong:
            raise PartlyWrongError(value, wrong)

        return value

    return Kind("list", parse, f"a list of {', '.join(known)}", show=",".join)


def matching(pattern: str, allowed: str, *, lower: bool = False) -> Kind[str]:
    """
    Return the kind of texts that fit *pattern* as a whole.

    Args:
        pattern: A regular expression without nested repetition.
        allowed: What it means, in words.
        lower: Fold to lower case first.
    """
    compiled = re.compile(pattern)

    def parse(raw: object) -> str:
        text = _parse_text(raw)
        text = text.lower() if lower else text
        if not compiled.fullmatch(text):
            raise ValueError(raw)

        return text

    return Kind("text", parse, allowed)


def integer(low: int = 0, high: float = math.inf, unit: str = "") -> Kind[int]:
    """Return the kind of whole numbers between two bounds, both included."""

    def parse(raw: object) -> int:
        value = _within(_parse_number(raw), low, high)
        if value != int(value):
            raise ValueError(raw)

        return int(value)

    return Kind("integer", parse, f"a whole number {_range(low, high)}", unit=unit)


def number(low: float = 0.0, high: float = math.inf, unit: str = "") -> Kind[float]:
    """Return the kind of numbers between two bounds, both included."""
    return Kind(
        "number",
        lambda raw: _within(_parse_number(raw), low, high),
        f"a number {_range(low, high)}",
        unit=unit,
        show=lambda value: f"{value:g}",
    )


def duration(low: float = 0.0, high: float = _LONGEST_DAYS * 86400.0) -> Kind[float]:
    """Return the kind of durations in seconds between two bounds, both included."""

    def parse(raw: object) -> float:
        if isinstance(raw, timedelta):
            raw = raw.total_seconds()

        return _within(_amount(raw, _SECONDS), low, high)

    bounds = "" if high > 10 * 365 * 86400 else f" up to {high:g} s"
    allowed = f"seconds, or a number with ms, s, m, h or d{bounds}"
    allowed += f", from {low:g}" if low else ""
    return Kind("duration", parse, allowed, unit="s", show=lambda v: f"{v:g}")


def size(low: int = 0, high: float = math.inf) -> Kind[int]:
    """Return the kind of sizes in bytes between two bounds, both included."""
    return Kind(
        "size",
        lambda raw: int(_within(_amount(raw, _BYTES), low, high)),
        f"bytes, or a number with KiB, MiB or GiB, {_range(low, high)}",
        unit="bytes",
    )


FLAG: Kind[bool] = Kind(
    "flag",
    _parse_flag,
    "true/false, yes/no, on/off or 1/0",
    show=lambda value: "true" if value else "false",
)
TEXT: Kind[str] = Kind("text", _parse_text, "printable text")
NAMES: Kind[tuple[str, ...]] = Kind(
    "list", _parse_names, "a list separated by commas", show=",".join
)
PAIRS: Kind[tuple[tuple[str, str], ...]] = Kind(
    "pairs",
    _parse_pairs,
    "key=value pairs separated by commas, percent-encoded",
    show=lambda pairs: ",".join(f"{key}={value}" for key, value in pairs),
)
BOUNDS: Kind[tuple[float, ...]] = Kind(
    "bounds",
    _parse_bounds,
    f"up to {_MOST_BOUNDS} ascending numbers separated by commas",
    show=lambda bounds: ",".join(f"{bound:g}" for bound in bounds),
)
RATE: Kind[float] = Kind(
    "rate",
    _parse_rate,
    "times per second, or a number with /s, /m, /h or /d",
    unit="1/s",
    show=lambda value: f"{value:g}",
)
RATIO: Kind[float] = Kind(
    "ratio", _parse_ratio, "5% or 0.05, from 0 to 1", show=lambda value: f"{value:g}"
)
COUNT = integer()
DURATION = duration()
SIZE = size()
