"""The kinds of values that settings have: how each is read, bounded and described."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "COUNT",
    "DURATION",
    "FLAG",
    "NAMES",
    "RATIO",
    "SIZE",
    "TEXT",
    "Kind",
    "choice",
    "duration",
    "integer",
    "number",
    "size",
]

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_AMOUNT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z]*)\s*")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SECONDS |= {"d": 86400.0, "us": 1e-6}
_BYTES = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2}
_BYTES |= {"mib": 1024**2, "mb": 1000**2, "g": 1024**3, "gib": 1024**3, "gb": 1000**3}
_LONGEST_DAYS = 366 * 100


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

    return raw.strip()


def _parse_names(raw: object) -> tuple[str, ...]:
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(raw)  # noqa: TRY004

    return tuple(text for part in parts if (text := _parse_text(part)))


def _parse_number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError(raw)  # noqa: TRY004 - a value's fault, whatever its type

    value = float(raw)
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

    match = _AMOUNT.fullmatch(raw)
    if match is None or match[2].lower() not in units:
        raise ValueError(raw)

    return _parse_number(match[1]) * units[match[2].lower()]


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
TEXT: Kind[str] = Kind("text", _parse_text, "text")
NAMES: Kind[tuple[str, ...]] = Kind(
    "list", _parse_names, "a list separated by commas", show=",".join
)
RATIO: Kind[float] = Kind(
    "ratio", _parse_ratio, "5% or 0.05, from 0 to 1", show=lambda value: f"{value:g}"
)
COUNT = integer()
DURATION = duration()
SIZE = size()
