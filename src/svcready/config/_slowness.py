"""How a setting says which requests are slow: for all, and for some routes."""

from __future__ import annotations

import re
from typing import NamedTuple

from svcready.config._kinds import Kind, duration

__all__ = ["SLOWNESS", "Slowness"]

_ROUTE = re.compile(r"(\*|[A-Za-z]{1,20})\s+(/\S*|\*)\s+(\S+)")
_TIME = duration(0.0, 86400.0)


class Slowness(NamedTuple):
    """From when on requests of a route are slow."""

    method: str
    """In capitals; `*` is any."""
    route: str
    """The route's template, in which `*` stands for any characters and `?` for one."""
    threshold_s: float


def _parse(raw: object) -> tuple[Slowness, ...]:
    if isinstance(raw, tuple) and all(isinstance(each, Slowness) for each in raw):
        return raw

    if not isinstance(raw, str):
        return (Slowness("*", "*", _TIME.parse(raw)),)

    parts = [part.strip() for part in raw.split(";")]
    return tuple(_parse_part(part) for part in parts if part)


def _parse_part(part: str) -> Slowness:
    match = _ROUTE.fullmatch(part)
    if match is None:
        return Slowness("*", "*", _TIME.parse(part))

    return Slowness(match[1].upper(), match[2], _TIME.parse(match[3]))


def _show(slowness: tuple[Slowness, ...]) -> str:
    return "; ".join(
        f"{each.threshold_s:g}s"
        if (each.method, each.route) == ("*", "*")
        else f"{each.method} {each.route} {each.threshold_s:g}s"
        for each in slowness
    )


SLOWNESS: Kind[tuple[Slowness, ...]] = Kind(
    "list", _parse, "a duration, or METHOD ROUTE DURATION, joined by `;`", show=_show
)
