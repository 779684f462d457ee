"""All the ways out of the process, which share each flush's deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from svcready.tracing.export._exporter import Exporter
    from svcready.tracing.export._queue import Figures, SpanQueue

__all__ = ["Exports", "Lane"]


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
        """How many spans were dropped for which reason; on each way out for itself."""
        dropped: dict[str, int] = {}
        for lane in self.lanes:
            for reason, spans in lane.queue.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + spans

        return dropped

    def figures(self) -> dict[str, Figures]:
        """Return what became of the spans on each way out, by its name."""
        return {lane.name: lane.queue.figures() for lane in self.lanes}

    def flush(self, timeout_s: float) -> bool:
        """
        Send what is queued within *timeout_s*, on all ways at the same time.

        Returns:
            False if spans are left.
        """
        finishes = [lane.queue.begin_flush(timeout_s) for lane in self.lanes]
        left = [not finish() for finish in finishes]
        return not any(left)

    def close(self, timeout_s: float) -> int:
        """Flush within *timeout_s* and end; returns how many spans that has lost."""
        before = sum(self.dropped.values())
        self.flush(timeout_s)
        for lane in self.lanes:
            lane.queue.close(0.0)

        return sum(self.dropped.values()) - before

    def describe(self) -> dict[str, object]:
        """Return where spans go, and the figures of each way, for people."""
        described: dict[str, object] = {"export": self.state}
        if self.lanes:
            described["exporters"] = {lane.name: _describe(lane) for lane in self.lanes}

        return described


def _describe(lane: Lane) -> dict[str, object]:
    figures = lane.queue.figures()
    described: dict[str, object] = {
        "queued": figures.queued,
        "queued_bytes": figures.queued_bytes,
        "sent": figures.sent,
        "failed": figures.failed,
        "dropped": figures.dropped,
    }
    if lane.exporter.last_error:
        described["last_error"] = lane.exporter.last_error

    return described
