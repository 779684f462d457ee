"""Makes each pillar from its own section of the settings."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from svcready._core.identity import process_instance, resolve_identity
from svcready._core.optional import installed, require
from svcready._core.redaction import Redactor, marker
from svcready._runtime._cells import renew_plans
from svcready._transport import stdout
from svcready._transport.workers import find_run_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._core.identity import Identity
    from svcready._runtime._levels import SharedLevels
    from svcready._runtime._runtime import Runtime
    from svcready.config import Settings
    from svcready.health._pillar import HealthPillar
    from svcready.logging._audit._log import AuditLog
    from svcready.logging._audit._off import AuditOff
    from svcready.logging._pillar import LogPillar
    from svcready.metrics._pillar import MetricsPillar
    from svcready.tracing._pillar import TracePillar

__all__ = [
    "audit",
    "child_identity",
    "health",
    "identity",
    "levels",
    "logging",
    "metrics",
    "redactor",
    "tracing",
]


_LINE_BYTES = 16 * 1024
"""Container runtimes split longer lines of standard output."""


def identity(settings: Settings, redactor: Redactor) -> Identity:
    """Work out who the service is; what it says of itself is for everybody."""
    service = settings.service
    attributes = {
        key: marker("key") if redactor.is_secret_key(key) else redactor.text(value)
        for key, value in service.attributes
    }
    return resolve_identity(
        service=redactor.text(service.name),
        namespace=redactor.text(service.namespace),
        version=redactor.text(service.version),
        environment=redactor.text(service.environment),
        instance=redactor.text(service.instance),
        attributes=attributes,
        environ=os.environ,
        hostname=socket.gethostname(),
        executable=os.path.basename("".join(sys.argv[:1]) or "python"),  # noqa: PTH119
        new_id=process_instance,
    )


def child_identity(identity: Identity) -> Identity:
    """Say who a forked child is: another process of the same service."""
    return identity.in_child(process_instance)


def redactor(settings: Settings) -> Redactor:
    """Make the one redaction engine that everything leaving the process passes."""
    return Redactor.from_settings(settings.log)


def metrics(runtime: Runtime) -> MetricsPillar | None:
    """Make the metrics pillar; None if it is switched off."""
    from svcready.metrics._pillar import MetricsPillar
    from svcready.metrics.sinks._choose import choose_sinks
    from svcready.metrics.sinks._means import Means

    settings = runtime.settings
    if not settings.metrics.enabled:
        return None

    def buckets_for(name: str) -> tuple[float, ...] | None:
        value = settings.named.values("BUCKETS", name).get("value")
        return value if isinstance(value, tuple) else None

    pillar = MetricsPillar(
        settings.metrics,
        settings.prometheus,
        identity=runtime.identity,
        clock=runtime.clock,
        buckets_for=buckets_for,
        config_errors=lambda: len(runtime.problems()),
        redact=runtime.redactor.text,
        group=runtime.group,
    )
    means = Means(
        settings,
        pillar.snapshot,
        pillar.declare,
        pillar.keep_sketches,
        runtime.identity,
        runtime.clock,
        runtime.note,
        lambda: runtime.tracing.quiet(),  # noqa: PLW0108 - tracing is made after this
        runtime.write,
    )
    pillar.push_to(choose_sinks(means))
    return pillar


def tracing(runtime: Runtime) -> TracePillar:
    """Make the tracing pillar, which gives ids even where spans are switched off."""
    from svcready.tracing._pillar import TracePillar

    settings = runtime.settings
    return TracePillar(
        settings.tracing,
        settings.otlp,
        settings.xray,
        identity=runtime.identity,
        resource_attributes=_log_groups(settings, runtime.identity)
        | {key: str(value) for key, value in runtime.identity.resource().items()},
        clock=runtime.clock,
        redactor=runtime.redactor,
        development=runtime.development,
        id_headers=(
            settings.http.request_id_header,
            settings.http.correlation_id_header,
        ),
    )


def _log_groups(
    settings: Settings, identity: Identity
) -> dict[str, str | int | tuple[str, ...]]:
    """Return where the service's log lines are, for who looks at its traces."""
    groups = settings.xray.log_groups
    if not groups and settings.log.enabled and settings.log.cloudwatch:
        own = settings.log.cloudwatch_group
        if not own and not identity.service_is_guess:  # a look-up may find a better
            own = f"/svcready/{identity.service}"

        groups = (own,) if own else ()

    return {"aws.log.group.names": groups} if groups else {}


def logging(runtime: Runtime) -> LogPillar | None:
    """Make the logging pillar; None if it is switched off."""
    from svcready.logging._pillar import LogPillar

    if not runtime.settings.log.enabled:
        return None

    settings = runtime.settings
    if settings.log.cloudwatch and settings.origin("log.cloudwatch").kind == "argument":
        _insist_on_boto3()

    elsewhere = {} if runtime.write is None else {"write": runtime.write}
    run_dir = settings.core.run_dir
    stdout.STDOUT.meet_in(lambda: find_run_dir(run_dir, os.environ))
    pillar = LogPillar(
        settings.log,
        identity=runtime.identity,
        development=runtime.development,
        clock=runtime.clock,
        redactor=runtime.redactor,
        span_ids=runtime.tracing.span_ids,
        stdout_is_terminal=stdout.is_terminal(),
        quiet=runtime.tracing.quiet,
        **elsewhere,
    )
    for problem in pillar.destinations.problems if pillar.destinations else ():
        runtime.note(problem)

    return pillar


def _insist_on_boto3() -> None:
    """
    Raise for code that asks for CloudWatch Logs; for an operator it is a report.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    if not installed("boto3"):
        require("boto3", extra="aws", needed_for='settings={"log.cloudwatch": True}')


def audit(runtime: Runtime) -> AuditLog | AuditOff:
    """Make the audit log, or what stands for it where it is switched off."""
    from svcready.logging._audit._log import AuditLog
    from svcready.logging._audit._off import AuditOff
    from svcready.logging._audit._targets import Chosen, KeptEntries, choose_target

    settings = runtime.settings
    if not settings.audit.enabled or not settings.core.enabled:
        return AuditOff()

    longest = settings.log.max_line_bytes or _LINE_BYTES
    if runtime.write is not None:  # a test's: nothing goes where others would see it
        chosen = Chosen(KeptEntries(), "memory", longest)
    else:
        chosen = choose_target(
            settings.audit,
            identity=lambda: runtime.identity,
            clock=runtime.clock,
            stdout_bytes=longest,
            quiet=runtime.tracing.quiet,
        )

    if chosen.problem:
        runtime.note(chosen.problem)

    return AuditLog(
        settings.audit,
        identity=runtime.identity,
        clock=runtime.clock,
        redactor=runtime.redactor,
        span_ids=runtime.tracing.span_ids,
        target=chosen.target,
        max_bytes=chosen.max_bytes,
        destination=chosen.name,
    )


def levels(runtime: Runtime) -> SharedLevels | None:
    """Make what changes levels at run time; None if there are no logs."""
    from svcready._runtime._levels import SharedLevels

    if runtime.logging is None:
        return None

    return SharedLevels(runtime.logging, runtime.group, runtime.clock)


def health(runtime: Runtime) -> HealthPillar | None:
    """Make the health pillar; None if it is switched off."""
    from svcready.health._pillar import HealthPillar

    settings = runtime.settings
    if not settings.health.enabled:
        return None

    return HealthPillar(
        settings.health,
        settings.lifecycle,
        service=runtime.identity.service,
        version=runtime.identity.version,
        clock=runtime.clock,
        redactor=runtime.redactor,
        check_values=lambda name: runtime.settings.named.values("CHECK", name),
        groups=_groups(settings),
        on_groups=renew_plans,  # each has a path of its own
        quiet=runtime.tracing.quiet,
    )


def _groups(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for key, value in settings.named.flat().items():
        kind, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")
        if kind == "group" and field == "checks" and isinstance(value, tuple):
            groups[name] = value
            settings.named.values("GROUP", name)

    return groups
