"""Where finished spans leave to, as settings and installed packages allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.otlp import available, traces_target

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.config._sections.tracing import TracingSettings
    from svcready.tracing._exporter import OtlpExporter
    from svcready.tracing._queue import SpanQueue

__all__ = ["Export", "plan_export"]


class Export(NamedTuple):
    """What became of the wish to export."""

    state: str
    """Where spans go, or `off: ` and why."""
    problem: str = ""
    """What stands against a wish that was uttered."""
    queue: SpanQueue | None = None
    exporter: OtlpExporter | None = None


def plan_export(settings: TracingSettings, otlp: OtlpSettings, clock: Clock) -> Export:
    """
    Decide about export and make what it needs; nothing is opened yet.

    A wish that cannot be met is a problem to report, not an error: an endpoint that
    an operator injects must not stop a service.
    """
    if settings.exporter == "none":
        return Export("off: switched off")

    target = traces_target(otlp, wanted=settings.exporter == "otlp")
    if target is None:
        return Export("off: no OTLP endpoint set")

    if (otlp.traces_protocol or otlp.protocol) == "grpc":
        return _refused("OTLP over grpc is asked for, and only http/protobuf is built")

    if not available():
        return _refused(
            f"spans are to go to {target}, but the packages for it are not "
            'installed: pip install "svcready[otlp]"'
        )

    from svcready.tracing._exporter import OtlpExporter
    from svcready.tracing._queue import QueueLimits, SpanQueue

    exporter = OtlpExporter(target, clock)
    limits = QueueLimits(
        settings.queue_spans,
        settings.batch_spans,
        settings.export_delay_s,
        settings.export_timeout_s,
    )
    queue = SpanQueue(exporter, limits, clock)
    return Export(f"otlp: {target}", queue=queue, exporter=exporter)


def _refused(problem: str) -> Export:
    return Export(f"off: {problem}", problem)
