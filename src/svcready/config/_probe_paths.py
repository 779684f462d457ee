"""The probes' paths: none may be another's, nor that of metrics or operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._origins import DEFAULT_ORIGIN
from svcready.config._problems import Problem
from svcready.config._sections.health import HealthSettings

if TYPE_CHECKING:
    from svcready.config._reader import Reader

__all__ = ["PROBE_ALIASES", "settle_probe_paths"]

PROBE_ALIASES = {"liveness": "/livez", "readiness": "/readyz", "startup": "/startupz"}
"""The paths that Kubernetes' own components have, by probe."""

_DEFAULTS = HealthSettings()


def settle_probe_paths(reader: Reader) -> tuple[Problem, ...]:
    """
    Put the default in the place of each path that is another's already.

    Returns:
        What was refused. Of two probes that were given one path neither gets it: which
        of them was meant can't be known, and a liveness probe that answers for
        readiness has the process restarted whenever a dependency is down.
    """
    problems: list[Problem] = []
    refused = True
    while refused:  # what falls back to its default may be in another's way there
        refused = False
        paths = {name: str(reader.values[_key(name)]) for name in PROBE_ALIASES}
        for name, path in paths.items():
            default = str(getattr(_DEFAULTS, f"{name}_path"))
            reason = "" if path == default else _taken(reader, name, path, paths)
            if reason:
                problems.append(_refuse(reader, name, path, reason, default))
                refused = True

    return tuple(problems)


def _key(probe: str) -> str:
    return f"health.{probe}_path"


def _taken(reader: Reader, name: str, path: str, paths: dict[str, str]) -> str:
    """Return whose the path is already; empty if it is free."""
    if path == "/metrics":
        return "because the metrics are there"

    if path == "/admin" or path.startswith("/admin/"):
        return "because what is below /admin is for operators only"

    for other, theirs in paths.items():
        if other == name:
            continue

        if path == theirs:
            return f"because {other} is asked there"

        if reader.values["health.aliases"] and path == PROBE_ALIASES[other]:
            return f"because that is {other} by SVCREADY_HEALTH_ALIASES"

    return ""


def _refuse(reader: Reader, name: str, path: str, reason: str, default: str) -> Problem:
    key = _key(name)
    origin = reader.origins[key]
    where = str(origin) if origin.kind == "argument" else origin.where
    reader.values[key], reader.origins[key] = default, DEFAULT_ORIGIN
    used = f"{default} (the default) is used"
    return Problem("refused", where, path, reason, used=used)
