"""Begins and finds the spans that segments and subsegments stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from svcready.tracing import _otel
from svcready.tracing._otel import (
    ROOT_KEY,
    SPAN_KEY,
    UNDECIDED_KEY,
    RemoteSpan,
    UnsampledSpan,
)
from svcready.tracing._recorded import RecordedSpan
from svcready.tracing.propagation._w3c import RANDOM
from svcready.tracing.propagation._xray_header import parse_xray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer

    from svcready.tracing._attributes import Attributes
    from svcready.tracing.xray._sdk_bridge._entities import (
        JoinedSegment,
        JoinedSubsegment,
    )
    from svcready.tracing.xray._sdk_bridge._kinds import Kinds
    from svcready.tracing.xray._sdk_bridge._left_out import (
        LeftOutSegment,
        LeftOutSubsegment,
    )

    AnySegment = JoinedSegment | LeftOutSegment
    AnySubsegment = JoinedSubsegment | LeftOutSubsegment
    Entity = AnySegment | AnySubsegment

__all__ = ["UNSAID", "Spans", "Undecided"]

UNSAID = "unsaid"
"""Stands for a trace id that nobody passed, which says more than None."""


class Undecided(str):
    """
    What the SDK's sampler answers while svcready is to decide.

    Args:
        described: Attributes of the request, for sampling rules to match.
    """

    __slots__ = ("described",)

    described: Mapping[str, object]


_ENTITY = "_svcready_xray_entity"
_SEGMENT = "_svcready_xray_segment"
_KINDS = {"remote": SpanKind.CLIENT, "aws": SpanKind.CLIENT}
_NO_SPAN = "0" * 16


class Spans:
    """
    The spans of one runtime, as the X-Ray SDK sees them.

    Args:
        tracer: Begins them.
        attributes: Redacts what goes into them.
        service: The service's name, for a segment to which code gives none.
        kinds: The classes of what is handed out.
    """

    def __init__(
        self, tracer: Tracer, attributes: Attributes, service: str, kinds: Kinds
    ) -> None:
        self._tracer = tracer
        self._attributes = attributes
        self.service = service
        self.kinds = kinds

    def current(self) -> AnySegment | AnySubsegment | None:
        """Return the entity of the current span; None outside any of this process."""
        context = _otel.current()
        span = context.get(SPAN_KEY)
        if not _is_local(span):
            return None

        if _otel.is_left_out(span):
            return self.kinds.left_out_segment(span)

        entity: JoinedSegment | JoinedSubsegment | None = getattr(span, _ENTITY, None)
        if entity is not None:
            return entity

        if context.get(ROOT_KEY, span) is span:
            return self.segment_of(span, context)

        name = str(getattr(span, "name", "span"))
        made = self._subsegment(span, context, name, owned=False)
        _keep(span, _ENTITY, made)
        return made

    def segment_of(self, span: Span, context: Context) -> JoinedSegment:
        """Return the segment that *span* is, though the SDK did not begin it."""
        known: JoinedSegment | None = getattr(span, _SEGMENT, None)
        if known is None:
            name = str(getattr(span, "name", "segment"))
            known = self.kinds.segment(
                span, self._attributes, context, name, owned=False
            )
            _keep(span, _SEGMENT, known)

        return known

    def begin_segment(
        self, name: str, traceid: object, parent_id: object, sampling: object
    ) -> AnySegment:
        """
        Begin a span for a segment, in the current trace if there is one.

        Args:
            name: Its name.
            traceid: In X-Ray's form, as a header said it; None or `UNSAID`.
            parent_id: As the header said it.
            sampling: 0 or 1 as the header said it; None or `Undecided` to decide.
        """
        context = _otel.current()
        if not _is_local(context.get(SPAN_KEY)):
            said = None if isinstance(sampling, Undecided) else sampling
            caller = _caller(traceid, parent_id, said)
            if caller is not None:
                undecided = {SPAN_KEY: caller, UNDECIDED_KEY: said is None}
                context = Context({**context, **undecided})
            elif said == 0 and said is not None:
                return self.kinds.left_out_segment(UnsampledSpan(_otel.new_ids()), name)

        kind = SpanKind.INTERNAL if traceid is UNSAID else SpanKind.SERVER
        span = self._start(name, context, kind, getattr(sampling, "described", {}))
        if not span.is_recording():
            return self.kinds.left_out_segment(span, name)

        if isinstance(span, RecordedSpan) and span.parent_id == _NO_SPAN:
            span.parent_id, span.has_remote_parent = None, False

        entered = Context({**context, SPAN_KEY: span, ROOT_KEY: span})
        made = self.kinds.segment(span, self._attributes, entered, name, owned=True)
        _keep(span, _SEGMENT, made)
        _keep(span, _ENTITY, made)
        return made

    def begin_subsegment(self, name: str, namespace: str) -> AnySubsegment:
        """Begin a span inside the current one; a root if there is none."""
        context = _otel.current()
        kind = _KINDS.get(namespace, SpanKind.INTERNAL)
        span = self._start(name, context, kind, {})
        if not span.is_recording():
            return self.kinds.left_out_subsegment(span, name)

        root = context.get(ROOT_KEY, span)
        entered = Context({**context, SPAN_KEY: span, ROOT_KEY: root})
        made = self._subsegment(span, entered, name, namespace, owned=True)
        _keep(span, _ENTITY, made)
        return made

    def leave_out(self, name: str) -> LeftOutSubsegment:
        """Begin a subsegment that is not sampled, and all inside it neither."""
        ids = _otel.span_ids()
        made = _otel.new_ids() if ids is None else (ids[0], _otel.new_span_id())
        return self.kinds.left_out_subsegment(UnsampledSpan(made), name)

    def _start(
        self,
        name: str,
        context: Context,
        kind: SpanKind,
        attributes: Mapping[str, object],
    ) -> Span:
        parent = context.get(SPAN_KEY)
        if isinstance(parent, Span) and _otel.is_left_out(parent):
            return parent

        span = self._tracer.start_span(
            self._attributes.name(str(name)),
            context,
            kind,
            self._attributes.clean(attributes) if attributes else None,
        )
        if isinstance(span, RecordedSpan):
            if getattr(self._tracer, "_begun", self) is None:
                span.is_raw = False  # nobody but us has put anything in, so far

            return span

        if span is parent or not span.get_span_context().is_valid:
            return UnsampledSpan(_otel.ids_of(parent) or _otel.new_ids())

        return span

    def _subsegment(
        self,
        span: Span,
        context: Context,
        name: str,
        namespace: str = "local",
        *,
        owned: bool,
    ) -> JoinedSubsegment:
        return self.kinds.subsegment(
            span,
            self._attributes,
            context,
            name,
            namespace,
            self._segment_around,
            owned=owned,
        )

    def _segment_around(self, subsegment: JoinedSubsegment) -> JoinedSegment:
        root = subsegment.context.get(ROOT_KEY)
        span = root if isinstance(root, Span) else subsegment.span
        return self.segment_of(span, subsegment.context)


def _is_local(span: object) -> TypeGuard[Span]:
    if span.__class__ is RecordedSpan:
        return True

    if not isinstance(span, Span) or span.__class__ is RemoteSpan:
        return False

    context = span.get_span_context()
    return context.is_valid and not context.is_remote


def _keep(span: object, name: str, entity: object) -> None:
    try:
        setattr(span, name, entity)
    except AttributeError:  # a foreign span with slots
        pass


def _caller(traceid: object, parent_id: object, said: object) -> RemoteSpan | None:
    if traceid is UNSAID or not traceid:
        return None

    header = parse_xray(f"Root={traceid};Parent={parent_id}")
    if header is None:
        return None

    ids = header.trace_id, header.parent_id or _NO_SPAN
    return RemoteSpan(ids, RANDOM | bool(said))
