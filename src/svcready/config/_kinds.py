"""The kinds of values that settings have: how each is read, bounded and described."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready.config._parsers import (
    BYTES,
    MOST_BOUNDS,
    SECONDS,
    PartlyWrongError,
    amount,
    parse_bounds,
    parse_flag,
    parse_names,
    parse_number,
    parse_pairs,
    parse_rate,
    parse_ratio,
    parse_text,
    within,
)

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


def _range(low: float, high: float) -> str:
    # Whole numbers in full: `1e+06` is nothing that one would type.
    lowest, highest = (f"{n:.15g}" for n in (low, high))
    return f"from {lowest}" if math.isinf(high) else f"from {lowest} to {highest}"


def choice(*words: str) -> Kind[str]:
    """Return the kind of one of *words*, in any case; the default comes first."""
    spelt = {word.lower(): word for word in words}

    def parse(raw: object) -> str:
        word = parse_text(raw).lower()
        if word not in spelt:
            raise ValueError(raw)

        return spelt[word]

    return Kind("choice", parse, " | ".join(words))


def words(*known: str) -> Kind[tuple[str, ...]]:
    """Return the kind of lists of *known* words, in any case; others are left out."""
    spelt = {word.lower(): word for word in known}

    def parse(raw: object) -> tuple[str, ...]:
        given = parse_names(raw)
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

    def parse(raw: object) -> str:
        text = parse_text(raw)
        text = text.lower() if lower else text
        if not re.fullmatch(pattern, text):  # compiled when first needed, then kept
            raise ValueError(raw)

        return text

    return Kind("text", parse, allowed)


def integer(low: int = 0, high: float = math.inf, unit: str = "") -> Kind[int]:
    """Return the kind of whole numbers between two bounds, both included."""

    def parse(raw: object) -> int:
        value = within(parse_number(raw), low, high)
        if value != int(value):
            raise ValueError(raw)

        return int(value)

    return Kind("integer", parse, f"a whole number {_range(low, high)}", unit=unit)


def number(low: float = 0.0, high: float = math.inf, unit: str = "") -> Kind[float]:
    """Return the kind of numbers between two bounds, both included."""
    return Kind(
        "number",
        lambda raw: within(parse_number(raw), low, high),
        f"a number {_range(low, high)}",
        unit=unit,
        show=lambda value: f"{value:g}",
    )


def duration(low: float = 0.0, high: float = _LONGEST_DAYS * 86400.0) -> Kind[float]:
    """Return the kind of durations in seconds between two bounds, both included."""

    def parse(raw: object) -> float:
        if isinstance(raw, timedelta):
            raw = raw.total_seconds()

        return within(amount(raw, SECONDS), low, high)

    bounds = "" if high > 10 * 365 * 86400 else f" up to {high:g} s"
    allowed = f"seconds, or a number with ms, s, m, h or d{bounds}"
    allowed += f", from {low:g}" if low else ""
    return Kind("duration", parse, allowed, unit="s", show=lambda v: f"{v:g}")


def size(low: int = 0, high: float = math.inf) -> Kind[int]:
    """Return the kind of sizes in bytes between two bounds, both included."""
    return Kind(
        "size",
        lambda raw: int(within(amount(raw, BYTES), low, high)),
        f"bytes, or a number with KiB, MiB or GiB, {_range(low, high)}",
        unit="bytes",
    )


FLAG: Kind[bool] = Kind(
    "flag",
    parse_flag,
    "true/false, yes/no, on/off or 1/0",
    show=lambda value: "true" if value else "false",
)
TEXT: Kind[str] = Kind("text", parse_text, "printable text")
NAMES: Kind[tuple[str, ...]] = Kind(
    "list", parse_names, "a list separated by commas", show=",".join
)
PAIRS: Kind[tuple[tuple[str, str], ...]] = Kind(
    "pairs",
    parse_pairs,
    "key=value pairs separated by commas, percent-encoded",
    show=lambda pairs: ",".join(f"{key}={value}" for key, value in pairs),
)
BOUNDS: Kind[tuple[float, ...]] = Kind(
    "bounds",
    parse_bounds,
    f"up to {MOST_BOUNDS} ascending numbers separated by commas",
    show=lambda bounds: ",".join(f"{bound:g}" for bound in bounds),
)
RATE: Kind[float] = Kind(
    "rate",
    parse_rate,
    "times per second, or a number with /s, /m, /h or /d",
    unit="1/s",
    show=lambda value: f"{value:g}",
)
RATIO: Kind[float] = Kind(
    "ratio", parse_ratio, "5% or 0.05, from 0 to 1", show=lambda value: f"{value:g}"
)
COUNT = integer()
DURATION = duration()
SIZE = size()
