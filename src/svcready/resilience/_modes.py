"""Which policies don't refuse what they would, in a form for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.resilience._pillar import ResiliencePillar

__all__ = ["not_enforced"]

_ENFORCE = "enforce"
_MOST = 20


def not_enforced(pillar: ResiliencePillar) -> dict[str, list[str]]:
    """
    Return the names of what is in another mode than `enforce`, by mode.

    A policy of which all is in one mode has its name alone, else its parts are named:
    `payments.breaker`. Load shedding is there while it observes; it is off by default.
    """
    found: dict[str, list[str]] = {}
    for name, parts in sorted(pillar.describe().items()):
        modes = {kind: _mode(numbers) for kind, numbers in parts.items()}
        if len(set(modes.values())) == 1:
            modes = {"": next(iter(modes.values()))}

        for kind, mode in sorted(modes.items()):
            if mode != _ENFORCE:
                found.setdefault(mode, []).append(f"{name}.{kind}" if kind else name)

    shedding = pillar.shedding()
    if shedding is not None and shedding.mode != _ENFORCE:
        found.setdefault(shedding.mode, []).append("load_shedding")

    return {mode: _short(names) for mode, names in sorted(found.items())}


def _mode(numbers: Mapping[str, object]) -> str:
    return str(numbers.get("mode", _ENFORCE))


def _short(names: list[str]) -> list[str]:
    over = len(names) - _MOST
    return names if over <= 0 else [*names[:_MOST], f"and {over} more"]
