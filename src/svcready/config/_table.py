"""The table of all settings: each section's fields by key and by variable."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from svcready.config._sections import SECTIONS
from svcready.config._setting import settings_of

if TYPE_CHECKING:
    from svcready.config._setting import Setting

__all__ = ["PREFIX", "Entry", "entries", "known_keys", "standard_names"]

PREFIX = "SVCREADY_"


class Entry(NamedTuple):
    """One setting and its names."""

    section: type
    """The section's class."""
    field: str
    """The field's name in it."""
    key: str
    """`log.level`, as arguments and messages say it."""
    variable: str
    """`SVCREADY_LOG_LEVEL`."""
    declared: Setting[object]
    """Its declaration."""


@cache
def entries() -> tuple[Entry, ...]:
    """Return every setting, section by section."""
    found = []
    for section in SECTIONS:
        name: str = section.section
        for field, declared in settings_of(section).items():
            key = f"{name.lower()}.{field}"
            variable = f"{PREFIX}{name}_{field.upper()}"
            found.append(Entry(section, field, key, variable, declared))

    return tuple(found)


@cache
def known_keys() -> dict[str, Entry]:
    """Return every setting by its key."""
    return {entry.key: entry for entry in entries()}


@cache
def standard_names() -> frozenset[str]:
    """Return the names of all standard variables that some setting honours."""
    return frozenset(
        standard.name for entry in entries() for standard in entry.declared.standards
    )
