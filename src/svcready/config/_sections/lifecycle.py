"""The section LIFECYCLE: starting, draining and stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import duration
from svcready.config._setting import setting

__all__ = ["LifecycleSettings"]

_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleSettings:
    """Starting, draining and stopping."""

    section: ClassVar[str] = "LIFECYCLE"

    drain_delay_s: float = setting(
        5.0,
        duration(0.0, _HOUR_S),
        "Requests are still accepted this long after readiness began to fail",
        relaxed=0.0,
        inert=True,
    )
    drain_timeout_s: float = setting(
        15.0,
        duration(0.0, _HOUR_S),
        "How long requests in flight may take to end after that",
        inert=True,
    )
    flush_timeout_s: float = setting(
        5.0,
        duration(0.0, _HOUR_S),
        "How long sending the last telemetry may take in all",
    )
