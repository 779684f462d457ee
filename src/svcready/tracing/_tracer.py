"""Our own OpenTelemetry provider: its tracers decide, and record what is sampled."""

# ruff: noqa: FBT001, FBT002 - the signatures are OpenTelemetry's

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Span,
    SpanKind,
    TracerProvider,
)

from svcready.tracing import _otel
from svcready.tracing._added import AddedProcessors
from svcready.tracing._current_span import CurrentSpanTracer
from svcready.tracing._otel import SPAN_KEY, UNDECIDED_KEY, UnsampledSpan
from svcready.tracing._recorded import RecordedSpan
from svcready.tracing.propagation._w3c import RANDOM, SAMPLED
from svcready.tracing.sampling._decider import NAMELESS, SAMPLING_RULE
from svcready.tracing.sampling._request import NO_REQUEST, request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes, AttributeValue

    from svcready.tracing._limits import Limits
    from svcready.tracing._sdk import SpanSink
    from svcready.tracing.sampling._decider import Decider

    Begun = Callable[[RecordedSpan, Context | None], None]

__all__ = ["Provider", "RecordingTracer"]


class RecordingTracer(CurrentSpanTracer):
    """
    Starts the spans of one scope.

    Args:
        provider: Whose tracer it is.
        scope: What asked for it.
    """

    def __init__(self, provider: Provider, scope: InstrumentationScope) -> None:
        self.scope = scope
        self.limits = provider.limits
        self._provider = provider

    @property
    def resource(self) -> Resource:
        """What the service is, as it is known by now."""
        return self._provider.resource

    @property
    def ended(self) -> Callable[[RecordedSpan], None]:
        """What takes a span that has ended."""
        return self._provider.ended

    def record(
        self,
        name: str,
        attributes: dict[str, AttributeValue],
        ids: tuple[str, str],
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        flags: int = RANDOM | SAMPLED,
        tracestate: str | None = None,
        parent_id: str | None = None,
        has_remote_parent: bool = False,
        start_ns: int | None = None,
        context: Context | None = None,
    ) -> RecordedSpan:
        """Start a span that is recorded; what is given holds no secret."""
        span = RecordedSpan(
            self,
            name,
            ids,
            flags,
            tracestate,
            parent_id,
            has_remote_parent,
            kind,
            attributes,
            start_ns,
        )
        begun = self._provider.begun
        if begun is not None:
            begun(span, context)

        return span

    def record_inside(
        self, parent: RecordedSpan, name: str, attributes: dict[str, AttributeValue]
    ) -> RecordedSpan:
        """Start a span inside *parent*; what is given holds no secret."""
        trace_id, parent_id = parent._svcready_ids  # noqa: SLF001
        span = self.record(
            name,
            attributes,
            (trace_id, _otel.new_span_id()),
            flags=parent.flags,
            tracestate=parent.tracestate,
            parent_id=parent_id,
        )
        if parent.buffer is not None:
            span.buffer = parent.buffer

        return span

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Start a span, as OpenTelemetry's API does."""
        values = _otel.current() if context is None else context
        parent = values.get(SPAN_KEY)
        if parent is not None and _otel.is_left_out(parent):
            return cast("Span", parent)

        buffer = parent.buffer if isinstance(parent, RecordedSpan) else None
        if buffer is not None and not buffer.admit():
            return _left_out(cast("RecordedSpan", parent))

        place = self._place(parent, values, kind, attributes)
        if place.__class__ is UnsampledSpan:
            return cast("Span", place)

        ids, flags, tracestate, parent_id, remote, rule = cast("_Place", place)
        span = self.record(
            name,
            {SAMPLING_RULE: rule} if rule else {},
            ids,
            kind,
            flags=flags,
            tracestate=tracestate,
            parent_id=parent_id,
            has_remote_parent=remote,
            start_ns=start_time,
            context=context,
        )
        if buffer is not None:
            span.buffer = buffer

        if attributes:
            span.set_attributes(attributes)

        if links:
            span.add_links(links)

        span.is_raw = True
        if not record_exception:
            span._record_exception = False  # noqa: SLF001

        if not set_status_on_exception:
            span._set_status_on_exception = False  # noqa: SLF001

        return span

    def _place(
        self,
        parent: object,
        values: Mapping[str, object],
        kind: SpanKind,
        attributes: Attributes,
    ) -> _Place | UnsampledSpan:
        if parent.__class__ is RecordedSpan:
            trace_id, parent_id = parent._svcready_ids  # noqa: SLF001
            ids = trace_id, _otel.new_span_id()
            return ids, parent.flags, parent.tracestate, parent_id, False, NAMELESS

        decider = self._provider.decider
        given: Mapping[str, object] = attributes or {}
        method, path = NO_REQUEST
        if kind is SpanKind.SERVER:
            method, path, given = request_of(given)

        found = _otel.ids_of(parent) if isinstance(parent, Span) else None
        if found is None:
            ids = _otel.new_ids()
            decided = decider.decide(method, path, lambda: given)
            if decided is None:
                return UnsampledSpan(ids)

            return ids, RANDOM | SAMPLED, None, None, False, decided

        rule = NAMELESS
        made = cast("Span", parent).get_span_context()
        ids = found[0], _otel.new_span_id()
        kept = made.trace_flags & RANDOM
        state = made.trace_state.to_header() if made.trace_state else None
        if made.is_remote:
            flag = None if values.get(UNDECIDED_KEY) else made.trace_flags.sampled
            decided = decider.inbound(flag, method, path, lambda: given)
            if decided is None:
                return UnsampledSpan(ids, kept, state)

            rule = decided

        return ids, kept | SAMPLED, state, found[1], made.is_remote, rule


def _left_out(parent: RecordedSpan) -> UnsampledSpan:
    """Return a span inside *parent* that is not recorded, for want of room."""
    flags = parent.flags & RANDOM
    return UnsampledSpan(parent._svcready_ids, flags, parent.tracestate)  # noqa: SLF001


_Place = tuple[tuple[str, str], int, str | None, str | None, bool, str]
"""Ids, flags, tracestate, the parent's span id, whether that is remote, the rule."""


class Provider(TracerProvider):
    """
    Gives tracers whose spans go to one sink, and to processors that were added.

    Args:
        decider: Decides about traces that begin here or come from a caller.
        resource: Says what the service is.
        limits: How much a span holds.
        sink: Takes finished spans.
    """

    def __init__(
        self, decider: Decider, resource: Resource, limits: Limits, sink: SpanSink
    ) -> None:
        self.decider = decider
        self.resource = resource
        self.limits = limits
        self.begun: Begun | None = None if sink.begun is None else self._tell_begun
        self.ended: Callable[[RecordedSpan], None] = sink.on_end
        self._sink = sink
        self._added = AddedProcessors()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> RecordingTracer:
        """Return the tracer of a scope."""
        scope = InstrumentationScope(
            instrumenting_module_name or "",
            instrumenting_library_version or "",
            schema_url,
            attributes,
        )
        # Not kept: an application may make scopes up, as many as it has requests.
        return RecordingTracer(self, scope)

    def describe_service(self, resource: Resource) -> None:
        """Put *resource* on every span that starts from now on."""
        self.resource = resource

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* told about spans, which it gets without secrets."""
        self._added.add(span_processor)
        self.begun, self.ended = self._tell_begun, self._tell_ended

    def forget_processors(self) -> None:
        """Tell none of those that were added anything from now on."""
        self._added = AddedProcessors()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is queued; False if spans are left."""
        sent = self._sink.force_flush(timeout_millis)
        return self._added.force_flush(timeout_millis) and sent

    def _tell_begun(self, span: RecordedSpan, context: Context | None) -> None:
        if self._sink.begun is not None:
            self._sink.begun(span)

        self._added.begun(span, _otel.current() if context is None else context)

    def _tell_ended(self, span: RecordedSpan) -> None:
        clean = self._sink.cleaned(span)
        if clean is not None:
            self._sink.on_end(clean)
            self._added.ended(clean)
