"""The trace view: the last finished spans, kept in the process for people to see."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.trace import format_span_id, format_trace_id

from svcready.tracing.view._records import EventRecord, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["TraceView"]


class TraceView:
    """
    Keeps the last finished spans.

    Args:
        spans: How many.
    """

    def __init__(self, spans: int) -> None:
        self._ring: deque[ReadableSpan] = deque(maxlen=spans)
        self.add = self._ring.append

    def recent(self, trace_id: str | None = None) -> list[SpanRecord]:
        """
        Return the kept spans in the order in which they ended.

        Args:
            trace_id: Only this trace's, 32 hex digits.
        """
        wanted = None if trace_id is None else int(trace_id, 16)
        return [
            _record(span)
            for span in self._ring.copy()
            if span.context is not None
            and (wanted is None or span.context.trace_id == wanted)
        ]


def _record(span: ReadableSpan) -> SpanRecord:
    context = span.context
    parent = span.parent
    scope = span.instrumentation_scope
    return SpanRecord(
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=None if parent is None else format_span_id(parent.span_id),
        remote_parent=parent is not None and parent.is_remote,
        name=span.name,
        kind=span.kind.name.lower(),
        scope="" if scope is None else scope.name,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        status=span.status.status_code.name.lower(),
        description=span.status.description or "",
        attributes=dict(span.attributes or {}),
        events=tuple(
            EventRecord(event.name, event.timestamp, dict(event.attributes or {}))
            for event in span.events
        ),
        links=tuple(
            (
                format_trace_id(link.context.trace_id),
                format_span_id(link.context.span_id),
            )
            for link in span.links
        ),
        service=str(span.resource.attributes.get("service.name", "")),
    )
