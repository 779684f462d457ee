"""The health of a service: background checks, and endpoints that only read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from svcready.health._check import check
from svcready.health._events import CheckChanged, CheckRan, LifecycleChanged
from svcready.health._result import CheckResult, fail, warn

if TYPE_CHECKING:
    from svcready.health._board import Probe
    from svcready.health._lifecycle import Lifecycle
    from svcready.health._pillar import HealthPillar
    from svcready.health._state import CheckStatus

__all__ = [
    "CheckChanged",
    "CheckRan",
    "CheckResult",
    "CheckStatus",
    "HealthPillar",
    "Lifecycle",
    "LifecycleChanged",
    "Probe",
    "check",
    "fail",
    "warn",
]

# What only a runtime needs; declaring a check does not load it.
_LAZY = {
    "CheckStatus": "_state",
    "HealthPillar": "_pillar",
    "Lifecycle": "_lifecycle",
    "Probe": "_board",
}


def __getattr__(name: str) -> object:
    file = _LAZY.get(name)
    if file is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    made: object = getattr(import_module(f"{__name__}.{file}"), name)
    globals()[name] = made
    return made
