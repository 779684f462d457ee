"""The section HEALTH: health checks and probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, choice, duration, integer
from svcready.config._setting import setting

__all__ = ["HealthSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthSettings:
    """Health checks and probes."""

    section: ClassVar[str] = "HEALTH"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    interval_s: float = setting(
        10.0,
        duration(0.1, 86400),
        "From one run of a check to the next, if its code says nothing",
    )
    timeout_s: float = setting(
        2.0,
        duration(0.001, 3600),
        "A run of a check that takes longer has failed, if its code says nothing",
    )
    fail_after: int = setting(
        3, integer(1, 1000), "Failures in a row that make a check fail"
    )
    recover_after: int = setting(
        2, integer(1, 1000), "Successes in a row that make a failed check pass"
    )
    max_threads: int = setting(
        8, integer(1, 256), "Synchronous checks that run at the same time"
    )
    loop: str = setting(
        "auto",
        choice("auto", "private"),
        "Where asynchronous checks run: the application's event loop, or one of ours",
    )
    loop_wait_s: float = setting(
        5.0,
        duration(0.0, 3600),
        "How long asynchronous checks wait for the application's event loop",
    )
    details: str = setting(
        "authorised",
        choice("authorised", "never", "always"),
        "Who sees more than the status: authorised callers, nobody, everybody",
        relaxed="always",
    )
