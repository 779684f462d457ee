"""Segments and subsegments of a trace that is not sampled: its ids and nothing else."""

# The SDK's own draw random numbers, take the time and make two counters with locks; and
# their ids are zeros, which would cut the trace for whoever is called.

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.tracing import _otel
from svcready.tracing.propagation._xray_header import format_xray_id

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["LeftOutSegment", "LeftOutSubsegment"]

_NO_IDS = "0" * 32, "0" * 16


class _LeftOut:
    in_progress = True
    parent_id = None
    sampled = False
    user = None
    start_time = 0.0

    def __init__(self, span: Span, name: str = "dummy") -> None:
        trace_id, self.id = _otel.ids_of(span) or _NO_IDS
        self.span = span
        self.trace_id = format_xray_id(trace_id)
        self.name = name

    @property
    def annotations(self) -> dict[str, object]:
        """Nothing is kept."""
        return {}

    http = metadata = aws = cause = sql = annotations

    @property
    def subsegments(self) -> list[object]:
        """Nothing is kept."""
        return []

    def put_annotation(self, key: str, value: object) -> None:
        """Do nothing."""

    def put_metadata(self, key: str, value: object, namespace: str = "default") -> None:
        """Do nothing."""

    def add_subsegment(self, subsegment: object) -> None:
        """Do nothing."""

    def remove_subsegment(self, subsegment: object) -> None:
        """Do nothing."""

    def close(self, end_time: float | None = None) -> None:
        """Do nothing."""

    def ready_to_send(self) -> bool:
        """Return that there is nothing to send."""
        return False

    def to_dict(self) -> dict[str, object]:
        """Return nothing."""
        return {}


class LeftOutSegment(_LeftOut):
    """
    A segment that is not sampled.

    Args:
        span: Whose ids it has.
        name: Its name.
    """

    is_segment = True


class LeftOutSubsegment(_LeftOut):
    """
    A subsegment that is not sampled.

    Args:
        span: Whose ids it has.
        name: Its name.
    """

    is_segment = False
    type = "subsegment"
    namespace = "dummy"
    segment_kind = LeftOutSegment

    @property
    def parent_segment(self) -> LeftOutSegment:
        """The segment it is in."""
        return self.segment_kind(self.span)
