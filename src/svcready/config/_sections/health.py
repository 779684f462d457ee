"""The section HEALTH: health checks and probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, choice, duration, integer, matching
from svcready.config._setting import setting

__all__ = ["HealthSettings"]

_PATH = matching(
    r"(?=.{1,200}\Z)(?:/|(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+/?)",
    "a path such as /health/liveness",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthSettings:
    """Health checks and probes."""

    section: ClassVar[str] = "HEALTH"

    enabled: bool = setting(True, FLAG, "Switches this part off when false")
    mode: str = setting(
        "background",
        choice("background", "on_demand"),
        "When checks run: all the time, or when a probe asks",
    )
    ttl_s: float = setting(
        5.0,
        duration(0.0, 3600),
        "On demand, a result this young is not asked for again",
    )
    total_timeout_s: float = setting(
        0.8,
        duration(0.01, 60),
        "On demand, how long a probe waits for all its checks together",
    )
    auto_checks: bool = setting(
        True,
        FLAG,
        "Checks what is found by itself: Django's databases, SQLAlchemy's engines",
    )
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
        8,
        integer(1, 256),
        "Synchronous checks that run at the same time, besides those past their time",
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
    liveness_path: str = setting("/health/liveness", _PATH, "Where liveness is asked")
    readiness_path: str = setting(
        "/health/readiness", _PATH, "Where readiness is asked"
    )
    startup_path: str = setting("/health/startup", _PATH, "Where startup is asked")
    aliases: bool = setting(True, FLAG, "Serves /livez, /readyz and /startupz as well")
    loop_stall_s: float = setting(
        30.0,
        duration(0.0, 3600),
        "Liveness fails when the event loop has not turned for so long, or a worker has"
        " given no sign of life; 0 never",
        relaxed=0.0,
    )
    request_stall_s: float = setting(
        300.0,
        duration(0.0, 86400),
        "Liveness of a threaded worker fails when no request has begun, ended or sent "
        "anything for so long though all its threads have one; 0 never",
        relaxed=0.0,
    )
