"""The section LIFECYCLE: starting, draining and stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import TEXT, duration
from svcready.config._setting import setting

__all__ = ["LifecycleSettings"]

_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleSettings:
    """Starting, draining and stopping."""

    section: ClassVar[str] = "LIFECYCLE"

    startup_timeout_s: float = setting(
        60.0,
        duration(1.0, _HOUR_S),
        "How long a start may take, as `svcready health manifest` tells platforms",
    )
    drain_delay_s: float = setting(
        5.0,
        duration(0.0, _HOUR_S),
        "Requests are still accepted this long after readiness began to fail",
        relaxed=0.0,
    )
    drain_timeout_s: float = setting(
        15.0,
        duration(0.0, _HOUR_S),
        "How long requests in flight may take to end after the drain delay",
    )
    flush_timeout_s: float = setting(
        5.0,
        duration(0.0, _HOUR_S),
        "How long sending the last telemetry may take in all",
    )
    grace_s: float = setting(
        30.0,
        duration(0.0, _HOUR_S),
        "How long the platform waits from SIGTERM to SIGKILL, to compare the plan with",
    )
    drain_file: str = setting(
        "",
        TEXT,
        "A file whose presence makes all processes of the service drain",
    )
