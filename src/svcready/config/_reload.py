"""Reloading: a changed configuration file takes effect where it can."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from svcready.config._load import load_inputs
from svcready.config._table import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.config._settings import Settings

__all__ = ["reload"]


def reload(settings: Settings) -> Settings:
    """
    Return *settings* with what the configuration file says by now.

    Only settings that are declared reloadable and those of named things change;
    another one that differs keeps its value and is reported to need a restart. A
    value that became wrong leaves the one in force, and a file that cannot be read
    any more leaves everything: a broken edit never changes a running service.

    Args:
        settings: Those in force, as `load` or `reload` returned them.

    Returns:
        New settings; equal to the old ones if nothing changed. `changed_from` names
        what did, and `pinned` what the file says in vain.
    """
    if settings.inputs is None:
        return settings

    kept = {key: (value, settings.origin(key)) for key, value in _plain(settings)}
    fresh = load_inputs(settings.inputs, kept=kept)
    broken = tuple(each for each in fresh.problems if each.kind == "unreadable")
    if broken:
        others = (each for each in settings.problems if each.kind != "unreadable")
        return replace(settings, problems=(*broken, *others))

    fresh.named.carry_over(settings.named)
    return fresh


def _plain(settings: Settings) -> Iterator[tuple[str, object]]:
    values = settings.values()
    return ((entry.key, values[entry.key]) for entry in entries())
