"""Descriptions of the settings in force: every value, masked, and where it was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.release import own_version
from svcready.config._masking import MASK, redacted
from svcready.config._named import KINDS
from svcready.config._table import PREFIX, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.config._settings import Settings

__all__ = ["Row", "describe", "report"]


class Row(NamedTuple):
    """One value in force."""

    key: str
    """`log.level`."""
    variable: str
    """`SVCREADY_LOG_LEVEL`."""
    value: str
    """As a variable would spell it; masked if it is secret and not empty."""
    unit: str
    """Of the plain number: `s`, `bytes`, or empty."""
    origin: str
    """Where it was said: a variable, a file's table, init(...), default."""
    is_default: bool
    """Nobody said anything else."""


def describe(settings: Settings) -> tuple[Row, ...]:
    """Return every value in force, section by section, then what is said by names."""
    rows = []
    for entry in entries():
        value = getattr(getattr(settings, entry.key.partition(".")[0]), entry.field)
        kind, origin = entry.declared.kind, settings.origin(entry.key)
        text = redacted(kind.show(value))
        if entry.declared.secret and value:
            text = MASK

        unit = kind.unit if text else ""
        is_default = origin.kind == "default"
        rows.append(Row(entry.key, entry.variable, text, unit, str(origin), is_default))

    for key, said in settings.named.flat_explained().items():
        word, _, rest = key.partition(".")
        named = KINDS[word.upper()]
        field = "value" if named.bare else rest.rpartition(".")[2]
        kind = named.fields[field].kind
        text = redacted(kind.show(said.value))
        name = rest if named.bare else f"{rest.rpartition('.')[0]}__{field}"
        variable = f"{PREFIX}{word}__{name}".upper()
        rows.append(
            Row(key, variable, text, kind.unit, str(said.origin), is_default=False)
        )

    return tuple(rows)


def report(
    settings: Settings,
    further: Iterable[str] = (),
    redact: Callable[[str], str] = redacted,
) -> dict[str, object]:
    """
    Return every value in force with its origin, and what is wrong, for machines.

    Args:
        settings: What is in force.
        further: Problems that were found by who uses the settings.
        redact: Hides what in a value looks like a secret.
    """
    problems: list[dict[str, str]] = [
        {"text": str(problem), **problem._asdict()} for problem in settings.problems
    ]
    problems += [{"text": text, "kind": "unfit"} for text in further]
    return {
        "svcready": own_version(),
        "environment": settings.service.environment,
        "settings": {
            row.key: {
                "value": redact(row.value),
                "unit": row.unit,
                "origin": row.origin,
            }
            for row in describe(settings)
        },
        "pinned": list(settings.pinned),
        "problems": problems,
    }
