"""CloudWatch's words: units, and texts made to fit its rules."""

from __future__ import annotations

import re

__all__ = ["UNITS", "dimension_value", "metric_name", "namespace_of", "unit_of"]

UNITS = frozenset(
    {
        *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None"),
        *("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"),
        *("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits"),
        *("Bytes/Second", "Kilobytes/Second", "Megabytes/Second"),
        *("Gigabytes/Second", "Terabytes/Second"),
        *("Bits/Second", "Kilobits/Second", "Megabits/Second"),
        *("Gigabits/Second", "Terabits/Second", "Count/Second"),
    }
)
"""Every unit that CloudWatch knows (the API's `StandardUnit`)."""

_LONGEST_NAME = 255
_LONGEST_VALUE = 1024
_UNFIT = re.compile(r"[^ -~]")  # printable ASCII is all that the API takes
_UNFIT_NAMESPACE = re.compile(r"[^a-zA-Z0-9._#:/ -]")
_BLANK = "-"
# UCUM's codes, and Prometheus' words, which other libraries' families come with.
# Multiples of 1024 have no unit there, nor have nanoseconds, minutes and the like.
_SIMPLE = {
    "s": "Seconds",
    "seconds": "Seconds",
    "ms": "Milliseconds",
    "milliseconds": "Milliseconds",
    "us": "Microseconds",
    "microseconds": "Microseconds",
    "By": "Bytes",
    "bytes": "Bytes",
    "kBy": "Kilobytes",
    "MBy": "Megabytes",
    "GBy": "Gigabytes",
    "TBy": "Terabytes",
    "bit": "Bits",
    "kbit": "Kilobits",
    "Mbit": "Megabits",
    "Gbit": "Gigabits",
    "Tbit": "Terabits",
    "%": "Percent",
    "percent": "Percent",
}


def unit_of(code: str, kind: str) -> str:
    """
    Return CloudWatch's unit for a metric's.

    Args:
        code: UCUM, or a word of Prometheus or CloudWatch.
        kind: The family's: only a counter without a unit counts things, while `1` of
            anything else is a ratio.
    """
    if code in UNITS:
        return code

    above, slash, below = code.partition("/")
    counts = above.startswith("{") or (above in {"", "1"} and kind == "counter")
    if slash:
        per_second = f"{_SIMPLE.get(above, 'Count' if _is_bare(above) else '')}/Second"
        return per_second if below == "s" and per_second in UNITS else "None"

    return _SIMPLE.get(above, "Count" if counts else "None")


def _is_bare(above: str) -> bool:
    return above in {"", "1"} or above.startswith("{")


def dimension_value(text: str) -> str:
    """Return *text* as CloudWatch takes a dimension's value: ASCII and not blank."""
    if not (text.isascii() and text.isprintable()):
        text = _UNFIT.sub("?", text)

    return text[:_LONGEST_VALUE] if text and not text.isspace() else _BLANK


def metric_name(text: str) -> str:
    """Return *text* as CloudWatch takes a metric's or dimension's name."""
    if not (text.isascii() and text.isprintable()):
        text = _UNFIT.sub("?", text)

    return text[:_LONGEST_NAME].strip().lstrip(":") or _BLANK


def namespace_of(text: str) -> str:
    """
    Return *text* as CloudWatch takes a namespace.

    One that begins with `AWS/` is Amazon's own, and one may not begin with a colon.
    """
    fit = _UNFIT_NAMESPACE.sub("_", text).strip().lstrip(":")
    if fit.upper().startswith("AWS/"):
        fit = "App/" + fit[len("AWS/") :]

    return fit[:_LONGEST_NAME] or _BLANK
