"""What a stall is made known by: liveness, a line of the log, and a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._stalls._stalls import LOOP, REQUESTS, Stalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._runtime._runtime import Runtime
    from svcready.metrics._model import Family

__all__ = ["watch_stalls"]

_SETTINGS = {
    LOOP: "SVCREADY_HEALTH_LOOP_STALL_S",
    REQUESTS: "SVCREADY_HEALTH_REQUEST_STALL_S",
}
_FAULTS = {
    LOOP: "the event loop is blocked: it has not turned for {:.0f} s",
    REQUESTS: "requests hang: none has begun, ended or sent anything for {:.0f} s",
}


def watch_stalls(runtime: Runtime) -> Stalls:
    """Make what watches *runtime*'s process, and let health and metrics ask it."""

    def tell(what: str, change: str, age_s: float, stack: str) -> None:
        if runtime.logging is None:
            return

        fields: dict[str, object] = {"what": what, "seconds": round(age_s, 1)}
        if change == "recovers":
            text = f"{what} moves again after {age_s:.0f} s"
            runtime.logging.event(text, "INFO", event="health.recovered", **fields)
            return

        if stack:
            fields["stack"] = stack

        text = f"{_FAULTS[what].format(age_s)}; liveness fails"
        fields["setting"] = _SETTINGS[what]
        runtime.logging.event(text, "ERROR", event="health.stalled", **fields)

    health = runtime.settings.health
    stalls = Stalls(health, runtime.open_requests, runtime.clock.monotonic, tell)
    if runtime.health is not None:
        if health.loop_stall_s:
            runtime.health.vitals.add(LOOP, stalls.loop_fault)

        if health.request_stall_s:
            runtime.health.vitals.add(REQUESTS, stalls.request_fault)

        if runtime.metrics is not None:
            runtime.metrics.add_source(lambda: _families(stalls))

    return stalls


def _families(stalls: Stalls) -> Iterator[Family]:
    from svcready.metrics._model import Family, Number

    points = stalls.stalled().items()
    name = "svcready_health_stalled"
    yield Family(
        name,
        name,
        "gauge",
        "1 while the event loop, or every request, has not moved for too long.",
        "",
        ("what",),
        tuple(Number((what,), float(stalled)) for what, stalled in points),
        "svcready",
        "max",
    )
