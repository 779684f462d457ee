"""What a metric may be called, and with what labels and buckets, on every sink."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

from svcready._core.declarations import variable
from svcready.errors import DeclarationError
from svcready.metrics._instruments._units import unit_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Workers",
    "base_name",
    "check_buckets",
    "check_help",
    "check_labels",
    "check_workers",
    "default_buckets",
    "label_text",
    "sample_names",
]

Workers = Literal["sum", "max", "min", "latest", "pid"]
"""How the values that several processes have of one series are made one."""

# The intersection of what OpenTelemetry, Prometheus and CloudWatch take as a name;
# room is left for a suffix (OpenTelemetry and CloudWatch end at 255).
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.]{0,199}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}")
_MAX_LABELS = 20  # CloudWatch ends at 30 dimensions, and some are the service's own
_MAX_BUCKETS = 200
_RESERVED = {"histogram": {"le"}, "timer": {"le"}}
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "summary": ("_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "info": ("_info",),
}
# OpenTelemetry's advice for durations in seconds, and its default for all else.
_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0),
)
_PLAIN = (
    *(0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0),
    *(1000.0, 2500.0, 5000.0, 7500.0, 10000.0),
)


def base_name(kind: str, name: object, unit: str) -> str:
    """
    Return *name* in base form: no `_total` of a counter, no word of *unit*.

    Raises:
        DeclarationError: A sink could not take the name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f"{kind} name {name!r}: begin with a letter and use up to 200 of "
            "a-z, A-Z, 0-9, '_' and '.', so that every sink can take it"
        )

    base = name
    total = base.endswith(("_total", ".total"))
    if total and kind != "counter":
        raise DeclarationError(
            f"{kind} name {name!r}: only a counter may end with '_total'"
        )

    if total:
        base = base[: -len("_total")]

    word = unit_word(unit)
    if word and base.endswith(("_" + word, "." + word)):
        base = base[: -len(word) - 1]

    if variable(base) in {"", "DEFAULT"}:
        raise DeclarationError(
            f"{kind} name {name!r} is reserved: in variables it means all of them"
        )

    return base


def check_labels(kind: str, name: str, labels: object) -> tuple[str, ...]:
    """
    Return *labels* as a tuple if every sink can take them.

    Raises:
        DeclarationError: One is not a valid label name, or they are not a sequence of
            names.
    """
    if isinstance(labels, str) or not isinstance(labels, list | tuple):
        raise DeclarationError(
            f"{kind} {name!r}: labels {labels!r} are not a tuple of names; "
            f'write labels=("kind",)'
        )

    for label in labels:
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise DeclarationError(
                f"{kind} {name!r}: label {label!r}: begin with a letter or '_' and use "
                "up to 100 of a-z, A-Z, 0-9 and '_'"
            )

        if label.startswith("__") or label in _RESERVED.get(kind, ()):
            raise DeclarationError(
                f"{kind} {name!r}: label {label!r} is reserved by Prometheus"
            )

    if len(set(labels)) != len(labels) or len(labels) > _MAX_LABELS:
        raise DeclarationError(
            f"{kind} {name!r}: labels {labels!r}: use up to {_MAX_LABELS} different"
        )

    return tuple(labels)


def check_workers(name: str, workers: object, labels: tuple[str, ...]) -> str:
    """
    Return *workers* if it says how several processes' values are made one.

    Raises:
        DeclarationError: It does not, or `pid` would meet a label of that name.
    """
    modes = get_args(Workers)
    if workers not in modes:
        raise DeclarationError(
            f"gauge {name!r}: workers {workers!r}: use one of {', '.join(modes)}"
        )

    if workers == "pid" and "pid" in labels:
        raise DeclarationError(
            f"gauge {name!r}: label 'pid' is what workers='pid' tells processes apart "
            "by; leave it to svcready"
        )

    return str(workers)


def check_help(kind: str, name: str, text: object) -> str:
    """
    Return the help text *text*, stripped.

    Raises:
        DeclarationError: It is not text that can be written as UTF-8.
    """
    if not isinstance(text, str) or _text(text) != text:
        raise DeclarationError(f"{kind} {name!r}: help {text!r} is not plain text")

    return text.strip()


def default_buckets(unit: str) -> tuple[float, ...]:
    """Return the upper bounds that a histogram of *unit* has if nobody says any."""
    return _SECONDS if unit == "s" else _PLAIN


def check_buckets(name: str, buckets: Iterable[float]) -> tuple[float, ...]:
    """
    Return the finite upper bounds *buckets* as floats; the last, +Inf, is implied.

    Raises:
        DeclarationError: They do not rise strictly, or are not finite numbers.
    """
    try:
        bounds = tuple(float(bound) for bound in buckets)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"metric {name!r}: buckets {buckets!r} are not a sequence of numbers"
        ) from error

    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]

    rising = all(low < high for low, high in pairwise(bounds))
    finite = all(math.isfinite(bound) for bound in bounds)
    if not (0 < len(bounds) <= _MAX_BUCKETS and rising and finite):
        raise DeclarationError(
            f"metric {name!r}: buckets {bounds!r}: use 1-{_MAX_BUCKETS} finite upper "
            "bounds, each greater than the one before"
        )

    return bounds


def sample_names(kind: str, family: str) -> tuple[str, ...]:
    """Return the names that a family of *kind* occupies on a Prometheus page."""
    suffixes = _SUFFIXES.get("histogram" if kind == "timer" else kind, ())
    return (family, *(family + suffix for suffix in suffixes))


def label_text(value: object, longest: int, redact: Callable[[str], str] = str) -> str:
    """
    Return a label's value as text of at most *longest* characters.

    A `str` that is also an enum counts as its text, so that it finds the same child
    as the plain string to which it is equal.

    Args:
        value: Anything.
        longest: Characters beyond are cut off.
        redact: Hides secrets, before the cut.
    """
    kind = type(value)
    if kind is int:
        return redact(str(value))[:longest]

    if kind is str:
        text: str = value  # type: ignore[assignment]  # mypy knows isinstance only
    elif isinstance(value, str):
        text = str.__str__(value)
    else:
        text = str(value)

    text = redact(text)
    if text.isascii() and len(text) <= longest:
        return text

    return _text(text)[:longest]


def _text(text: str) -> str:
    """Replace what UTF-8 cannot write, which would break a whole page later."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
