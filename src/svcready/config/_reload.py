"""Reloading: a changed configuration file takes effect where it can."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from svcready.config._load import load_inputs
from svcready.config._problems import Problem
from svcready.config._table import entries

if TYPE_CHECKING:
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

    kept = settings.values()
    fresh = load_inputs(settings.inputs, kept=kept)
    broken = tuple(each for each in fresh.problems if each.kind == "unreadable")
    if broken:
        others = (each for each in settings.problems if each.kind != "unreadable")
        return replace(settings, problems=(*broken, *others))

    sections: dict[str, object] = {}
    origins = dict(fresh.origins)
    waiting = []
    for entry in entries():
        section, field = entry.key.split(".")
        now = getattr(getattr(fresh, section), field)
        if entry.declared.reloadable or now == kept[entry.key]:
            if origins[entry.key].name == "as before":
                origins[entry.key] = settings.origin(entry.key)

            continue

        made = sections.get(section, getattr(fresh, section))
        sections[section] = replace(made, **{field: kept[entry.key]})
        waiting.append(Problem("restart", fresh.origin(entry.key).where or entry.key))
        origins[entry.key] = settings.origin(entry.key)

    return replace(
        fresh,
        **sections,
        named=fresh.named.carried_over(settings.named),
        origins=origins,
        problems=(*fresh.problems, *waiting),
    )
