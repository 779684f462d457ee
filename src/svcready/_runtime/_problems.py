"""What is wrong with the configuration, as settings and pillars tell of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready._runtime._judged import judged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from svcready._runtime._runtime import Runtime
    from svcready.config import Settings

    Told = tuple[Settings, Collection[str]]
    """Settings, and all that is wrong with them."""

__all__ = ["in_force", "problems"]


def problems(runtime: Runtime, noted: Iterable[str], *, ready: bool) -> tuple[str, ...]:
    """
    Return what is wrong, one line each.

    Args:
        runtime: Whose settings are meant.
        noted: What pillars said by themselves.
        ready: Whether everything is declared that ever will be, as far as one knows.
    """
    settings = runtime.settings
    found = [str(problem) for problem in settings.problems]
    found += runtime.tracing.problems
    found += runtime.metrics.problems if runtime.metrics is not None else ()
    found += judged(settings)
    found += noted
    resilience = runtime.resilience
    found += resilience.untuned()
    if not ready:
        return tuple(found)

    found += map(str, settings.named.unmatched(comes=resilience.comes))
    found += map(str, settings.named.idle("POLICY", resilience.lacks))
    found += resilience.problems()
    if runtime.health is not None:
        found += runtime.health.problems()

    return tuple(found)


def in_force(changed: Iterable[str], before: Told, after: Told) -> list[str]:
    """
    Return those of the keys that changed anything.

    What is said of things by their names may be for a thing that nobody declares, or
    contradict the code, which is a problem then, and not in force.

    Args:
        changed: Keys whose values are others now.
        before: Before the change.
        after: And now.
    """
    return [key for key in changed if not (_in_vain(key, *before, *after))]


def _in_vain(
    key: str,
    before: Settings,
    known: Collection[str],
    after: Settings,
    told: Collection[str],
) -> bool:
    """Tell whether a problem names where *key* is said, both times where it is."""
    found = []
    for settings, wrong in ((before, known), (after, told)):
        said = settings.named.flat_explained().get(key)
        if said is not None:
            spelt = re.compile(re.escape(said.origin.where) + r"(?!\w)")
            found.append(any(map(spelt.search, wrong)))

    return bool(found) and all(found)
