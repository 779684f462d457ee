"""The numbers of probes and of an orderly end, as a service's settings have them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.config import Settings

__all__ = ["Asked", "ProbePlan", "Times", "contradictions", "make_plan", "seconds"]

_BACKGROUND_S = 0.05
"""How long a probe takes that only reads, on a machine that is busy."""
_SPARE_S = 0.2
_PROCESS_S = 2
"""How long a command in a container may take to start, where CPU is short."""
_STARTUP_PERIOD_S = 2
_LIVENESS = (10, 3)
_READINESS = (5, 2)
_PROXY_FAILURES = 2
_MARGIN = 0.9
"""How much of the drain delay a proxy may take to notice."""
_PROXY_PERIODS_S = (0.5, 2.0)


class Asked(NamedTuple):
    """What was said on the command line; None where the settings decide."""

    port: int = 8000
    """The application's port."""
    period_s: float | None = None
    """From one question to the next, for liveness and readiness."""
    timeout_s: float | None = None
    """How long an answer may take."""
    failures: int | None = None
    """Failures in a row that count."""
    grace_s: float | None = None
    """From SIGTERM to SIGKILL."""
    names_port: bool = False
    """Whether the port is another than the service's variables say."""


class Times(NamedTuple):
    """How a probe is asked."""

    period_s: float
    timeout_s: float
    failures: int

    @property
    def notice_s(self) -> float:
        """How long it takes until a failure counts."""
        return self.period_s * self.failures


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbePlan:
    """Everything that a platform has to be told, in seconds."""

    service: str
    port: int
    """The application's port."""
    ops_port: int
    """The operator's own; 0 if there is none."""
    names_port: bool
    """Whether `svcready healthcheck` has to be told the application's."""
    ops_is_local: bool
    """Whether only the machine itself reaches that."""
    liveness_path: str
    readiness_path: str
    startup_path: str
    startup: Times
    liveness: Times
    readiness: Times
    container: Times
    """How a command inside the container asks for liveness."""
    proxy: Times
    """How a proxy asks for readiness, which must notice within the drain delay."""
    worst_s: float
    """How long a probe may take to answer."""
    on_demand: bool
    """Whether checks run when a probe asks."""
    startup_s: float
    delay_s: float
    drain_s: float
    flush_s: float
    grace_s: float
    checks_s: float
    """How long a check takes to notice by itself that a dependency is down."""
    served: bool
    """Whether there is a probe to ask at all."""

    @property
    def end_s(self) -> float:
        """How long an orderly end may take."""
        return self.delay_s + self.drain_s + self.flush_s


def make_plan(settings: Settings, service: str, asked: Asked) -> ProbePlan:
    """
    Return the numbers that fit *settings*.

    Args:
        settings: The service's.
        service: Its name.
        asked: What was said on the command line, which wins.
    """
    health, lifecycle, admin = settings.health, settings.lifecycle, settings.admin
    on_demand = health.mode == "on_demand"
    worst_s = health.total_timeout_s if on_demand else _BACKGROUND_S
    timeout_s = asked.timeout_s or max(1, math.ceil(worst_s + _SPARE_S))

    def times(period_s: float, failures: int) -> Times:
        fits_s = max(period_s, timeout_s)
        period_s, failures = asked.period_s or fits_s, asked.failures or failures
        return Times(period_s, timeout_s, failures)

    startup_period_s = max(_STARTUP_PERIOD_S, timeout_s)
    tries = math.ceil(lifecycle.startup_timeout_s / startup_period_s)
    liveness = times(*_LIVENESS)
    prefix = settings.http.path_prefix
    local = {"127.0.0.1", "localhost", "::1", "[::1]"}
    on = settings.core.enabled and health.enabled
    return ProbePlan(
        service=service,
        port=asked.port,
        ops_port=max(0, admin.port),
        names_port=asked.names_port and admin.port <= 0 and not admin.socket,
        ops_is_local=admin.host in local,
        liveness_path=prefix + health.liveness_path,
        readiness_path=prefix + health.readiness_path,
        startup_path=prefix + health.startup_path,
        startup=Times(startup_period_s, timeout_s, max(1, tries)),
        liveness=liveness,
        readiness=times(*_READINESS),
        container=liveness._replace(
            timeout_s=asked.timeout_s or max(5, math.ceil(worst_s) + _PROCESS_S)
        ),
        proxy=_for_proxies(lifecycle.drain_delay_s, timeout_s, asked),
        worst_s=worst_s,
        on_demand=on_demand,
        startup_s=lifecycle.startup_timeout_s,
        delay_s=lifecycle.drain_delay_s,
        drain_s=lifecycle.drain_timeout_s,
        flush_s=lifecycle.flush_timeout_s,
        grace_s=asked.grace_s or lifecycle.grace_s,
        checks_s=health.interval_s * health.fail_after,
        served=on and (settings.http.enabled or admin.port > 0),
    )


def _for_proxies(delay_s: float, timeout_s: float, asked: Asked) -> Times:
    failures = asked.failures or _PROXY_FAILURES
    fits_s = math.floor((delay_s * _MARGIN - timeout_s) / failures * 10) / 10
    least_s, most_s = _PROXY_PERIODS_S
    period_s = asked.period_s or min(most_s, max(least_s, fits_s))
    return Times(period_s, timeout_s, failures)


def contradictions(plan: ProbePlan, platform: str) -> tuple[str, ...]:
    """
    Return what can't be right on *platform*, a sentence each.

    Args:
        plan: The numbers.
        platform: `kubernetes`, `ecs`, `alb`, `docker`, `haproxy` or `nginx`.
    """
    if not plan.served:
        off = "SVCREADY_CORE_ENABLED, SVCREADY_HEALTH_ENABLED or SVCREADY_HTTP_ENABLED"
        return (f"there is no probe to ask: {off} is false",)

    found = [*_of_answers(plan, platform), *_of_the_end(plan, platform)]
    if platform in _RANGES:
        found += _of_ranges(plan, platform)

    return tuple(dict.fromkeys(found))


def _of_answers(plan: ProbePlan, platform: str) -> Iterator[str]:
    for times in _asked_by(plan, platform):
        if times.timeout_s < plan.worst_s:
            why = "SVCREADY_HEALTH_TOTAL_TIMEOUT_S" if plan.on_demand else "a busy one"
            yield (
                f"a probe may take {seconds(plan.worst_s)} to answer ({why}), longer "
                f"than the time-out of {seconds(times.timeout_s)}"
            )

        # HAProxy begins the next check when the last one has ended.
        if times.timeout_s > times.period_s and platform != "haproxy":
            yield (
                f"the time-out of {seconds(times.timeout_s)} is longer than the period "
                f"of {seconds(times.period_s)}: probes would overtake each other"
            )

    if platform == "kubernetes" and plan.ops_port and plan.ops_is_local:
        yield (
            "SVCREADY_ADMIN_HOST lets the operator's port be reached from inside the "
            "pod only, and the kubelet asks from outside: set 0.0.0.0"
        )


def _asked_by(plan: ProbePlan, platform: str) -> tuple[Times, ...]:
    if platform == "kubernetes":
        return plan.startup, plan.liveness, plan.readiness

    if platform in {"ecs", "docker"}:
        return (plan.container,)

    return (plan.proxy if platform == "haproxy" else plan.readiness,)


def _of_the_end(plan: ProbePlan, platform: str) -> Iterator[str]:
    delay = f"SVCREADY_LIFECYCLE_DRAIN_DELAY_S is {seconds(plan.delay_s)}"
    if platform in {"kubernetes", "ecs", "docker"} and plan.end_s > plan.grace_s:
        yield (
            f"the end takes up to {seconds(plan.end_s)} (drain delay "
            f"{plan.delay_s:g} + drain {plan.drain_s:g} + flush {plan.flush_s:g}), and "
            f"SIGKILL comes after {seconds(plan.grace_s)}: give it "
            f"SVCREADY_LIFECYCLE_GRACE_S={math.ceil(plan.end_s)} or more"
        )

    if platform in {"kubernetes", "ecs"} and not plan.delay_s:
        yield (
            f"{delay}: requests that are still on their way when a service is told to "
            "end would find nobody"
        )

    notice_s = plan.proxy.notice_s + plan.proxy.timeout_s
    if platform == "haproxy" and notice_s > plan.delay_s:
        yield (
            f"{delay}, shorter than the {seconds(notice_s)} that HAProxy takes to "
            f"notice ({plan.proxy.failures} x {plan.proxy.period_s:g} s and a time-out "
            f"of {plan.proxy.timeout_s:g} s): it would send requests to a service that "
            "has gone"
        )


_RANGES = {
    # CloudFormation's reference of HealthCheck and ContainerDefinition; stopTimeout is
    # Fargate's limit.
    "ecs": {
        "Interval": (5, 300),
        "Timeout": (2, 60),
        "Retries": (1, 10),
        "StartPeriod": (0, 300),
        "StopTimeout": (1, 120),
    },
    # Of a target group of an Application Load Balancer.
    "alb": {
        "HealthCheckIntervalSeconds": (5, 300),
        "HealthCheckTimeoutSeconds": (2, 120),
        "UnhealthyThresholdCount": (2, 10),
        "deregistration_delay.timeout_seconds": (0, 3600),
    },
}


def _of_ranges(plan: ProbePlan, platform: str) -> Iterator[str]:
    times = plan.container if platform == "ecs" else plan.readiness
    said = {
        "Interval": times.period_s,
        "Timeout": times.timeout_s,
        "Retries": times.failures,
        "StartPeriod": plan.startup_s,
        "StopTimeout": plan.grace_s,
        "HealthCheckIntervalSeconds": times.period_s,
        "HealthCheckTimeoutSeconds": max(2, times.timeout_s),
        "UnhealthyThresholdCount": times.failures,
        "deregistration_delay.timeout_seconds": plan.drain_s,
    }
    for name, (least, most) in _RANGES[platform].items():
        if not least <= said[name] <= most:
            taken = f"{platform.upper()} takes {least} to {most}"
            yield f"{name} would be {said[name]:g}, and {taken}"

    if platform == "alb" and max(2, times.timeout_s) >= times.period_s:
        yield "an ALB's time-out has to be shorter than its interval"


def seconds(value: float) -> str:
    """Write a number of seconds for people."""
    return f"{value:g} s"
