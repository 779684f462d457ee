"""The trace view: the last finished spans, kept in the process for people to see."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import format_span_id, format_trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["EventRecord", "SpanRecord", "TraceView"]


class EventRecord(NamedTuple):
    """Something that happened while a span was open."""

    name: str
    time_ns: int
    """Wall time since the epoch."""
    attributes: Mapping[str, object]


class SpanRecord(NamedTuple):
    """One finished span; redacted as it would leave the process."""

    trace_id: str
    """32 lower-case hex digits."""
    span_id: str
    """16 lower-case hex digits."""
    parent_id: str | None
    """The parent's span id; None at the top of a trace."""
    remote_parent: bool
    """The parent is another process's."""
    name: str
    kind: str
    """`server`, `client`, `producer`, `consumer` or `internal`."""
    scope: str
    """What made it: `svcready`, or an instrumentation package's name."""
    start_ns: int
    """Wall time since the epoch."""
    end_ns: int
    status: str
    """`unset`, `ok` or `error`."""
    description: str
    """What went wrong, if the status says so."""
    attributes: Mapping[str, object]
    events: tuple[EventRecord, ...]
    links: tuple[tuple[str, str], ...]
    """Trace id and span id of each linked span."""


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
    )
