"""Where finished spans leave to, as settings and installed packages allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.otlp import available, traces_target

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.config._sections.otlp import OtlpSettings
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._sections.xray import XraySettings
    from svcready.tracing.export._queue import Exporter, SpanQueue

__all__ = ["Exports", "Lane", "plan_exports"]


class Lane(NamedTuple):
    """One way out: an exporter, and the queue that it drains on its own thread."""

    name: str
    """`otlp` or `xray`."""
    target: str
    """Where to, for people; without credentials."""
    queue: SpanQueue
    exporter: Exporter


class Exports:
    """
    All the ways out of the process.

    Args:
        lanes: Each sends every span.
        off: Why there is none.
        problems: What stands against a wish that was uttered, one sentence each.
    """

    def __init__(
        self,
        lanes: tuple[Lane, ...] = (),
        *,
        off: str = "",
        problems: tuple[str, ...] = (),
    ) -> None:
        self.lanes = lanes
        self.problems = problems
        self._off = off

    @property
    def state(self) -> str:
        """Where spans go, or `off: ` and why."""
        if not self.lanes:
            return f"off: {self._off}"

        return ", ".join(f"{lane.name}: {lane.target}" for lane in self.lanes)

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans were dropped for which reason."""
        dropped: dict[str, int] = {}
        for lane in self.lanes:
            for reason, spans in lane.queue.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + spans

        return dropped

    def flush(self, timeout_s: float) -> bool:
        """Send what is queued within *timeout_s*; False if spans are left."""
        sent = [lane.queue.flush(timeout_s) for lane in self.lanes]
        return all(sent)

    def close(self, timeout_s: float) -> int:
        """Flush within *timeout_s* and end; returns how many spans were lost."""
        return sum(lane.queue.close(timeout_s) for lane in self.lanes)

    def describe(self) -> dict[str, object]:
        """Return the figures of each lane, for people."""
        described: dict[str, object] = {"export": self.state}
        for lane in self.lanes:
            described["spans"] = lane.queue.statistics()
            if lane.exporter.last_error:
                described["last_error"] = lane.exporter.last_error

        return described


def plan_exports(
    settings: TracingSettings, otlp: OtlpSettings, xray: XraySettings, clock: Clock
) -> Exports:
    """
    Decide about export and make what it needs; nothing is opened yet.

    A wish that cannot be met is a problem to report, not an error: an endpoint that
    an operator injects must not stop a service.
    """
    del xray
    if settings.exporter == "none":
        return Exports(off="switched off")

    target = traces_target(otlp, wanted=settings.exporter == "otlp")
    if target is None:
        return Exports(off="no OTLP endpoint set")

    if (otlp.traces_protocol or otlp.protocol) == "grpc":
        return _refused("OTLP over grpc is asked for, and only http/protobuf is built")

    if not available():
        return _refused(
            f"spans are to go to {target}, but the packages for it are not "
            'installed: pip install "svcready[otlp]"'
        )

    from svcready.tracing.export._otlp import OtlpExporter
    from svcready.tracing.export._queue import QueueLimits, SpanQueue

    exporter = OtlpExporter(target, clock)
    limits = QueueLimits(
        settings.queue_spans,
        settings.batch_spans,
        settings.export_delay_s,
        settings.export_timeout_s,
    )
    queue = SpanQueue(exporter, limits, clock)
    return Exports((Lane("otlp", str(target), queue, exporter),))


def _refused(problem: str) -> Exports:
    return Exports(off=problem, problems=(problem,))
