"""Which family stays where two sources give one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._names import sample_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.metrics._model import Family

__all__ = ["without_doubles"]


def without_doubles(
    families: Iterable[Family], tell: Callable[[Family], None]
) -> tuple[Family, ...]:
    """
    Return *families* without those that have a name in common with one before.

    One that OpenTelemetry's meters recorded takes the place of one of ours that
    recorded nothing: who leaves the requests to an OpenTelemetry instrumentation has
    the family from there.

    Args:
        families: In the order of precedence.
        tell: Told each that is left out although it has series.
    """
    kept: dict[int, Family] = {}
    occupied: dict[str, int] = {}
    for place, family in enumerate(families):
        names = sample_names(family.kind, family.exposition)
        rivals = {occupied[name] for name in names if name in occupied}
        if rivals:
            empty = not any(kept[rival].points for rival in rivals if rival in kept)
            if not (empty and family.origin == "otel" and family.points):
                tell(family)
                continue

            for rival in rivals:
                kept.pop(rival, None)

        occupied.update(dict.fromkeys(names, place))
        kept[place] = family

    return tuple(kept.values())
