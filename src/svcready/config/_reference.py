"""The reference: every variable with type, unit, default and one line of help."""

from __future__ import annotations

import inspect
from typing import NamedTuple

from svcready.config._named import KINDS
from svcready.config._table import PREFIX, entries

__all__ = ["ReferenceRow", "reference", "reference_markdown"]


class ReferenceRow(NamedTuple):
    """One setting, as the documentation shows it."""

    section: str
    """`LOG`; for named things their kind, `POLICY`."""
    variable: str
    """`SVCREADY_LOG_LEVEL`."""
    key: str
    """`log.level`, for the file and for arguments."""
    type: str
    """`duration`, `flag`, ..."""
    allowed: str
    """What is allowed, in words."""
    unit: str
    """Of the plain number: `s`, `bytes`, or empty."""
    default: str
    """In production; empty if there is none."""
    development: str
    """In development, dev, local and test, if another."""
    standards: tuple[str, ...]
    """Variables of wider standards that are honoured beneath."""
    help: str
    """One line."""
    secret: bool = False
    """Masked everywhere; may be a reference."""
    reloadable: bool = False
    """A changed file takes effect at once."""
    inert: bool = False
    """It has no effect in this version."""


def reference() -> tuple[ReferenceRow, ...]:
    """Return every setting in the order of the sections, then the named kinds'."""
    rows = []
    for entry in entries():
        declared = entry.declared
        relaxed = declared.relaxed
        standards = [
            f"{standard.name} ({standard.key})" if standard.key else standard.name
            for standard in declared.standards
        ]
        section: str = entry.section.section  # type: ignore[attr-defined]
        rows.append(
            ReferenceRow(
                section,
                entry.variable,
                entry.key,
                declared.kind.name,
                declared.kind.allowed,
                declared.kind.unit,
                declared.kind.show(declared.default),
                "" if relaxed is None else declared.kind.show(relaxed),
                tuple(standards),
                declared.help,
                declared.secret,
                declared.reloadable,
                declared.inert,
            )
        )

    return (*rows, *_named_rows())


def _named_rows() -> list[ReferenceRow]:
    rows = []
    for word, named in KINDS.items():
        for field, spec in named.fields.items():
            suffix = "" if named.bare else f"__{field.upper()}"
            tail = "" if named.bare else f".{field}"
            rows.append(
                ReferenceRow(
                    word,
                    f"{PREFIX}{word}__<NAME>{suffix}",
                    f"{word.lower()}.<name>{tail}",
                    spec.kind.name,
                    spec.kind.allowed,
                    spec.kind.unit,
                    spec.default,
                    "",
                    (),
                    spec.help,
                    reloadable=True,
                    inert=named.inert,
                )
            )

    return rows


def reference_markdown() -> str:
    """Return the reference as Markdown: a heading and a table for each section."""
    titles = {
        entry.section.section: inspect.cleandoc(entry.section.__doc__ or "")  # type: ignore[attr-defined]
        for entry in entries()
    }
    titles |= {word: f"{named.help}, by its name." for word, named in KINDS.items()}
    lines: list[str] = []
    section = ""
    for row in reference():
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}", "", titles[section], "", *_HEAD]

        default = f"`{row.default}`" if row.default else ""
        if row.development:
            default += f" (development: `{row.development}`)"

        notes = [f"Beneath it: `{name}`." for name in row.standards]
        notes += ["Secret."] if row.secret else []
        notes += ["Reloadable."] if row.reloadable else []
        notes += ["**No effect in this version.**"] if row.inert else []
        cells = (
            f"`{row.variable}`",
            f"{row.type}: {row.allowed}",
            default,
            " ".join((f"{row.help}.", *notes)),
        )
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")

    return "\n".join(lines).strip() + "\n"


_HEAD = (
    "| Variable | Type and what is allowed | Default | What it does |",
    "|---|---|---|---|",
)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
