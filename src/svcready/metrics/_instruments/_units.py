"""Units: the UCUM codes that metrics are declared with, and Prometheus' words."""

from __future__ import annotations

import re

from svcready.errors import DeclarationError

__all__ = ["check_unit", "prometheus_name", "unit_word"]

_WORDS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "kg": "kilograms",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
_CODES = {word: code for code, word in _WORDS.items()}
_PER = {"s": "second", "min": "minute", "h": "hour", "d": "day"}
_ANNOTATION = re.compile(r"\{[!-z|~]{0,61}\}")  # printable ASCII without braces
_UNFIT = re.compile(r"[^a-zA-Z0-9_:]|__+")
_RUN = re.compile(r"__+")


def check_unit(metric: str, unit: object) -> str:
    """
    Return *unit* if it is a UCUM code that every sink can spell.

    Args:
        metric: The metric's name, for the message.
        unit: `s`, `By`, `1`, `{request}`, `By/s`, ...; empty for none.

    Raises:
        DeclarationError: It is not; the message names the code that was meant.
    """
    if isinstance(unit, str):
        above, slash, below = unit.partition("/")
        bare = above in {"", "1"} or _ANNOTATION.fullmatch(above) is not None
        if (bare or above in _WORDS) and (
            below in _PER if slash and above else not slash
        ):
            return unit

    raise DeclarationError(
        f"metric {metric!r}: unit {unit!r} is not a UCUM code; use one of "
        f"{' '.join(_WORDS)}, 1, an annotation such as {{request}}, or one of these "
        f"per {', '.join(_PER)} (By/s){_hint(unit)}"
    )


def unit_word(unit: str) -> str:
    """Return what Prometheus appends to a name for *unit*; empty for nothing."""
    above, _, below = unit.partition("/")
    word = _WORDS.get(above, "")
    if not below:
        return word

    return f"{word}_per_{_PER[below]}" if word else f"per_{_PER[below]}"


def prometheus_name(name: str, unit: str) -> str:
    """
    Spell a declared name as a Prometheus family, without a counter's `_total`.

    The rules are OpenTelemetry's for Prometheus: what is not allowed becomes `_`, runs
    of it one, and the unit's word is appended unless the name ends with it.
    """
    spelt = _RUN.sub("_", _UNFIT.sub("_", name))
    word = unit_word(unit)
    if not word or spelt == word or spelt.endswith("_" + word):
        return spelt

    return _RUN.sub("_", f"{spelt}_{word}")


def _hint(unit: object) -> str:
    if not isinstance(unit, str):
        return ""

    word = unit.lower()
    near = _CODES.get(word) or _CODES.get(word + "s")
    if near is None:
        from difflib import get_close_matches

        found = get_close_matches(unit, _WORDS, 1) or get_close_matches(word, _CODES, 1)
        near = _CODES.get(found[0], found[0]) if found else None

    return f"; did you mean {near!r}?" if near else ""
