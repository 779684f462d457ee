"""Where finished spans leave to, as settings and installed packages allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.otlp import target_problem, traces_target
from svcready.tracing.export._exports import Exports, Lane

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing.export._exporter import Exporter

__all__ = ["plan_exports"]


class _Way(NamedTuple):
    """One way out that somebody asked for."""

    name: str
    """`otlp` or `xray`."""
    target: str = ""
    exporter: Exporter | None = None
    problem: str = ""
    """What stands against it, instead of an exporter."""


def plan_exports(
    settings: TracingSettings, otlp: OtlpSettings, xray: XraySettings, clock: Clock
) -> Exports:
    """
    Decide about export and make what it needs; nothing is opened yet.

    A wish that cannot be met is a problem to report, not an error: an endpoint that
    an operator injects must not stop a service.
    """
    if "none" in settings.exporter:
        return Exports(off="switched off")

    first = _otlp(settings, otlp, clock)
    asked = [first, _xray(settings, xray, clock, alone=first is None)]
    ways = [way for way in asked if way is not None]
    if not ways:
        return Exports(off="no OTLP endpoint set")

    problems = tuple(way.problem for way in ways if way.problem)
    lanes = [
        _lane(way, way.exporter, settings, clock)
        for way in ways
        if way.exporter is not None
    ]
    return Exports(tuple(lanes), off="; ".join(problems), problems=problems)


def _lane(
    way: _Way, exporter: Exporter, settings: TracingSettings, clock: Clock
) -> Lane:
    from svcready.tracing.export._queue import QueueLimits, SpanQueue

    limits = QueueLimits(
        settings.queue_spans,
        settings.queue_bytes,
        settings.batch_spans,
        settings.export_delay_s,
        settings.export_timeout_s,
    )
    queue = SpanQueue(exporter, limits, clock, f"tracing.{way.name}")
    return Lane(way.name, way.target, queue, exporter)


def _otlp(settings: TracingSettings, otlp: OtlpSettings, clock: Clock) -> _Way | None:
    if not {"auto", "otlp"} & set(settings.exporter):
        return None

    target = traces_target(otlp, wanted="otlp" in settings.exporter)
    if target is None:
        return None

    problem = target_problem(target)
    if problem:
        return _Way("otlp", problem=problem)

    from svcready.tracing.export._otlp import OtlpExporter

    return _Way("otlp", str(target), OtlpExporter(target, clock))


def _xray(
    settings: TracingSettings, xray: XraySettings, clock: Clock, *, alone: bool
) -> _Way | None:
    named = "xray" in settings.exporter
    if named and xray.export is False:
        return _Way(
            "xray", problem="xray is named as an exporter, and its export is off"
        )

    address = xray.daemon_address
    found = address is not None and alone and "auto" in settings.exporter
    if not (named or xray.export or (found and xray.export is None)):
        return None

    from svcready.tracing.xray._daemon import Daemon
    from svcready.tracing.xray._document import Documents, Options
    from svcready.tracing.xray._exporter import XRayExporter

    host, port = address.udp if address is not None else ("127.0.0.1", 2000)
    documents = Documents(Options(xray.annotations, xray.log_groups, xray.tracing_name))
    exporter = XRayExporter(Daemon((host, port), clock), documents, clock)
    shown = f"[{host}]" if ":" in host else host
    return _Way("xray", f"udp {shown}:{port}", exporter)
