"""The attributes of OpenTelemetry's measurements as labels that every sink takes."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from svcready.errors import DeclarationError
from svcready.metrics._instruments._names import label_text
from svcready.metrics._instruments._units import check_unit, prometheus_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCOPE_LABEL", "exposition_of", "known_unit", "label_name", "labels_of"]

SCOPE_LABEL = "otel_scope_name"
"""The label that says whose meter it was; OTLP makes it the scope again."""

_UNFIT = re.compile(r"[^a-zA-Z0-9_]")
_LONGEST_NAME = 100
_RESERVED = {"le", "quantile"}


@lru_cache(4096)
def label_name(attribute: str) -> str:
    """
    Return *attribute* as Prometheus spells a label.

    OpenTelemetry's rules: what is not allowed becomes `_`. A name that begins with a
    digit, or that Prometheus keeps for itself, gets `key_` before it.
    """
    name = _UNFIT.sub("_", attribute)[:_LONGEST_NAME]
    if not name or name[0].isdecimal() or name in _RESERVED:
        return f"key_{name}"

    return f"key{name}" if name.startswith("__") else name


def labels_of(
    scope: str,
    attributes: Mapping[str, object],
    longest: int,
    redact: Callable[[str], str],
) -> dict[str, tuple[str, str]]:
    """
    Return labels by name, each with the attribute it came from and its text.

    Attributes that meet in one label are joined by `;` in the order of their names, as
    OpenTelemetry says. One without a value is no label.

    Args:
        scope: The name of the meter.
        attributes: What was given with the measurement.
        longest: Characters of a value beyond are cut off.
        redact: Hides secrets, before the cut.
    """
    spelt: dict[str, tuple[str, str]] = {}
    for attribute in sorted(attributes, key=str):
        value = attributes[attribute]
        text = "" if value is None else label_text(_plain(value), longest, redact)
        if not text:
            continue

        name = label_name(str(attribute))
        there = spelt.get(name)
        if there is not None:
            text = f"{there[1]};{text}"[:longest]

        spelt[name] = (str(attribute) if there is None else there[0], text)

    if scope:
        spelt[SCOPE_LABEL] = (SCOPE_LABEL, label_text(scope, longest, redact))

    return spelt


def known_unit(name: str, unit: str) -> str:
    """Return *unit* if sinks can spell it, else none: libraries make their own up."""
    try:
        return check_unit(name, unit)
    except DeclarationError:
        return ""


def exposition_of(kind: str, name: str, unit: str) -> str:
    """Return how Prometheus spells the family; a counter's `_total` comes once."""
    if kind == "counter" and name.endswith(("_total", ".total")):
        name = name[: -len("_total")]

    return prometheus_name(name, unit)


def _plain(value: object) -> object:
    """Return what is no text as JSON, which is OpenTelemetry's form of it."""
    if isinstance(value, bool):
        return "true" if value else "false"

    if isinstance(value, list | tuple):
        return json.dumps(list(value), default=str, ensure_ascii=False)

    return value
