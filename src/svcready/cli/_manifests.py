"""Writes the numbers of probes down as each platform wants them, and why."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from svcready.cli._probe_plan import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.cli._probe_plan import ProbePlan, Times

    Line = str | tuple[str, str]
    """A line, or one with a number and the reason of that."""

__all__ = ["FORMATS"]

_HEALTHCHECK_S = 3
"""How long `svcready healthcheck` waits if it is not told."""
_LONGEST_LABEL = 63
_NO_HURRY = "a restart is a last resort: there is no hurry"
_STARTUP = "SVCREADY_LIFECYCLE_STARTUP_TIMEOUT_S"
_DELAY = "SVCREADY_LIFECYCLE_DRAIN_DELAY_S"
_DRAIN = "SVCREADY_LIFECYCLE_DRAIN_TIMEOUT_S"


def _written(lines: Iterator[Line]) -> str:
    said = (line if isinstance(line, str) else " # ".join(line) for line in lines)
    return "".join(f"{line}\n" for line in said)


def _end(plan: ProbePlan) -> str:
    return (
        f"drain delay {plan.delay_s:g} + drain {plan.drain_s:g} + flush "
        f"{plan.flush_s:g} = {seconds(plan.end_s)}"
    )


def _answer(plan: ProbePlan) -> str:
    if plan.on_demand:
        return f"checks run when asked, for {seconds(plan.worst_s)} at most"

    return "a probe only reads, which takes milliseconds"


def _patience(plan: ProbePlan) -> str:
    noticed = seconds(plan.checks_s)
    return f"checks need {noticed} themselves to fail; this is for lost packets"


def _label(service: str) -> str:
    """Return a name that is a label in DNS, and a word in any configuration."""
    label = re.sub(r"[^a-z0-9]+", "-", service.lower())[:_LONGEST_LABEL]
    return label.strip("-") or "service"


def _whose(plan: ProbePlan) -> str:
    if plan.service:
        return f"for the service {_label(plan.service)}"

    return "for a service that --name names"


def _kubernetes(plan: ProbePlan) -> Iterator[Line]:
    yield f"# A part of a pod's spec, {_whose(plan)}."
    yield f"terminationGracePeriodSeconds: {math.ceil(plan.grace_s)}", _end(plan)
    yield "containers:"
    yield f"  - name: {_label(plan.service)}"
    yield "    ports:"
    yield f"      - {{name: http, containerPort: {plan.port}}}"
    if plan.ops_port:
        port = f"      - {{name: ops, containerPort: {plan.ops_port}}}"
        yield port, "SVCREADY_ADMIN_PORT, which answers when the other is busy"

    startup, liveness = plan.startup, plan.liveness
    yield from _probe(
        plan,
        ("startupProbe", plan.startup_path),
        startup,
        period="how late at most it is seen that the service has started",
        failures=f"x {seconds(startup.period_s)}: {_STARTUP} is {plan.startup_s:g}",
    )
    yield from _probe(
        plan,
        ("livenessProbe", plan.liveness_path),
        liveness,
        period=_NO_HURRY,
        failures=f"restarted after {seconds(liveness.notice_s)} of failures",
    )
    yield from _probe(
        plan,
        ("readinessProbe", plan.readiness_path),
        plan.readiness,
        period="how late at most it is seen that the service can't work",
        failures=_patience(plan),
    )
    yield f"    # No preStop: after SIGTERM the service serves for {plan.delay_s:g} s"
    yield f"    # ({_DELAY}), until no node sends to it any more."


def _probe(
    plan: ProbePlan, what: tuple[str, str], times: Times, *, period: str, failures: str
) -> Iterator[Line]:
    name, path = what
    port = "ops" if plan.ops_port else "http"
    yield f"    {name}:"
    yield f"      httpGet: {{path: {json.dumps(path)}, port: {port}}}"
    yield f"      periodSeconds: {math.ceil(times.period_s)}", period
    yield f"      timeoutSeconds: {math.ceil(times.timeout_s)}", _answer(plan)
    yield f"      failureThreshold: {times.failures}", failures
    if name != "readinessProbe":
        yield "      successThreshold: 1", "Kubernetes takes no other here"


def _command(plan: ProbePlan) -> list[str]:
    command = ["svcready", "healthcheck"]
    if plan.names_port:
        command += ["--port", str(plan.port)]

    timeout_s = plan.container.timeout_s - 1
    if plan.worst_s >= _HEALTHCHECK_S or timeout_s < _HEALTHCHECK_S:
        command += ["--timeout", f"{max(plan.worst_s, timeout_s):g}"]

    return command


def _ecs(plan: ProbePlan) -> Iterator[Line]:
    times = plan.container
    yield f"# Of AWS::ECS::TaskDefinition, {_whose(plan)}."
    yield "ContainerDefinitions:"
    yield f"  - Name: {_label(plan.service)}"
    yield f"    PortMappings: [{{ContainerPort: {plan.port}}}]"
    yield f"    StopTimeout: {math.ceil(plan.grace_s)}", _end(plan)
    yield "    HealthCheck:"
    yield "      # Liveness: ECS replaces a task that fails. Readiness is for the ALB."
    yield f"      Command: {json.dumps(['CMD', *_command(plan)])}"
    yield f"      Interval: {math.ceil(times.period_s)}", _NO_HURRY
    timeout = f"      Timeout: {math.ceil(times.timeout_s)}"
    yield timeout, "with the command's own start, where CPU is short"
    failures = f"replaced after {seconds(times.notice_s)} of failures"
    yield f"      Retries: {times.failures}", failures
    start = f"      StartPeriod: {math.ceil(plan.startup_s)}"
    yield start, f"{_STARTUP}; no failure counts before"


def _alb(plan: ProbePlan) -> Iterator[Line]:
    times = plan.readiness
    yield f"# Of AWS::ElasticLoadBalancingV2::TargetGroup, {_whose(plan)}."
    yield f"Port: {plan.port}"
    yield "Protocol: HTTP"
    yield "TargetType: ip"
    yield f"HealthCheckPath: {json.dumps(plan.readiness_path)}"
    port = "HealthCheckPort: traffic-port"
    yield port, "what can't take requests there gets none"
    interval = f"HealthCheckIntervalSeconds: {math.ceil(times.period_s)}"
    yield interval, "how often each node of the load balancer asks"
    timeout = f"HealthCheckTimeoutSeconds: {max(2, math.ceil(times.timeout_s))}"
    yield timeout, f"{_answer(plan)}; 2 is the least"
    yield "HealthyThresholdCount: 2", "the least: checks have thresholds of their own"
    yield f"UnhealthyThresholdCount: {times.failures}", _patience(plan)
    yield 'Matcher: {HttpCode: "200"}', "probes answer 200 or 503"
    yield "TargetGroupAttributes:"
    yield "  - Key: deregistration_delay.timeout_seconds"
    value = f'    Value: "{math.ceil(plan.drain_s)}"'
    yield value, f"as long as the service waits for requests: {_DRAIN}"
    noticed = seconds(times.notice_s)
    yield "# What ends a service must deregister it, as ECS and Auto Scaling do: this"
    yield f"# check alone notices after {noticed}, and the service serves for"
    yield f"# {seconds(plan.delay_s)} ({_DELAY})."


def _docker(plan: ProbePlan) -> Iterator[Line]:
    times, grace = plan.container, math.ceil(plan.grace_s)
    period, timeout = math.ceil(times.period_s), math.ceil(times.timeout_s)
    yield f"# Lines of a Dockerfile, {_whose(plan)}."
    yield f"# interval: {_NO_HURRY}."
    yield "# timeout: with the command's own start, where CPU is short."
    yield f"# start-period: {_STARTUP}; no failure counts before."
    yield f"# retries: unhealthy after {seconds(times.notice_s)} of failures."
    yield f"HEALTHCHECK --interval={period}s --timeout={timeout}s \\"
    start = math.ceil(plan.startup_s)
    yield f"  --start-period={start}s --retries={times.failures} \\"
    yield f"  CMD {json.dumps(_command(plan))}"
    yield "STOPSIGNAL SIGTERM"
    yield f"# {_end(plan)}, and Docker alone waits 10 s:"
    yield f"# docker run --stop-timeout {grace}; in Compose stop_grace_period: {grace}s"


def _haproxy(plan: ProbePlan) -> Iterator[Line]:
    times, name = plan.proxy, _label(plan.service)
    period, timeout = _milliseconds(times.period_s), _milliseconds(times.timeout_s)
    noticed = seconds(times.notice_s + times.timeout_s)
    path = plan.readiness_path
    yield f"# A backend {_whose(plan)}."
    yield f"backend {name}"
    yield "    option httpchk"
    yield f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {name}"
    yield "    http-check expect status 200", "probes answer 200 or 503"
    yield f"    timeout check {timeout}", _answer(plan)
    yield f"    # inter, fall: noticed within {noticed} when a service drains, and it"
    yield f"    # serves for {seconds(plan.delay_s)} then ({_DELAY})."
    yield "    # rise: twice, for one answer may be luck."
    yield f"    default-server check inter {period} fall {times.failures} rise 2"
    yield (
        "    option redispatch 1",
        "what one refuses to accept goes to another at once",
    )
    yield f"    server {name}-1 127.0.0.1:{plan.port}", "a line for each instance"


def _nginx(plan: ProbePlan) -> Iterator[Line]:
    times, name = plan.readiness, _label(plan.service)
    noticed, period = math.ceil(times.notice_s), math.ceil(times.period_s)
    yield f"# Inside http, {_whose(plan)}. NGINX without Plus asks no probe:"
    yield "# it learns from requests, so what one refuses to accept goes to another."
    yield f"upstream {name} {{"
    yield f"    # fail_timeout: as long as probes take, {period} s x {times.failures}."
    server = f"    server 127.0.0.1:{plan.port} max_fails=1 fail_timeout={noticed}s;"
    yield server, "a line for each instance"
    yield "    keepalive 32;", "per worker; the service closes them when it drains"
    yield "}"
    yield "server {"
    yield "    listen 80;"
    yield "    location / {"
    yield f"        proxy_pass http://{name};"
    yield "        proxy_http_version 1.1;"
    yield '        proxy_set_header Connection "";'
    next_upstream = "        proxy_next_upstream error timeout;"
    yield next_upstream, "nothing is sent twice that may not be"
    yield "        proxy_next_upstream_tries 2;", "one other instance, not all of them"
    check = f"uri={plan.readiness_path} interval={period} fails={times.failures}"
    yield "        # With NGINX Plus, and a zone in the upstream, it asks as well:"
    yield f"        # health_check {check} passes=2;"
    yield "    }"
    yield "}"


def _milliseconds(value: float) -> str:
    return f"{round(value * 1000)}ms"


FORMATS = {
    "kubernetes": lambda plan: _written(_kubernetes(plan)),
    "ecs": lambda plan: _written(_ecs(plan)),
    "alb": lambda plan: _written(_alb(plan)),
    "docker": lambda plan: _written(_docker(plan)),
    "haproxy": lambda plan: _written(_haproxy(plan)),
    "nginx": lambda plan: _written(_nginx(plan)),
}
"""What writes each format, by its word."""
