"""The SDK's recorder with another floor: what it begins and ends are spans of ours."""

# ruff: noqa: N803 - the signatures are the SDK's

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._otel import SPAN_KEY, UnsampledSpan
from svcready.tracing.xray._sdk_bridge._context import JoinedContext, JoinedSampler
from svcready.tracing.xray._sdk_bridge._kinds import sdk_enabled
from svcready.tracing.xray._sdk_bridge._left_out import (
    LeftOutSegment,
    LeftOutSubsegment,
)
from svcready.tracing.xray._sdk_bridge._places import PLACE_KEY, enter
from svcready.tracing.xray._sdk_bridge._spans import UNSAID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.tracing.xray._sdk_bridge._places import Place
    from svcready.tracing.xray._sdk_bridge._spans import (
        AnySegment,
        AnySubsegment,
        Entity,
        Spans,
    )

__all__ = ["JoinedRecorder"]

_COMPONENT = "tracing.xray_sdk"


class JoinedRecorder:
    """
    Goes before the class of the SDK's one recorder, which so stays one object.

    All that the SDK's API, its decorators, middlewares and patches do comes down to
    what is here. `configure` is taken as ever; what it says of context, sampler and
    emitter has no effect while this is in force.
    """

    service: str | None
    get_trace_entity: Callable[[], Entity | None]
    _svcready_spans: Spans

    @property
    def context(self) -> JoinedContext:
        """Where what is open is found."""
        made = vars(self).get("_svcready_context")
        if made is None or made.spans is not self._svcready_spans:
            made = self._svcready_context = JoinedContext(self._svcready_spans)

        return made

    @context.setter
    def context(self, context: object) -> None:
        self._context = context

    @property
    def sampler(self) -> JoinedSampler:
        """What decides."""
        return JoinedSampler(self._svcready_spans)

    @sampler.setter
    def sampler(self, sampler: object) -> None:
        self._sampler = sampler

    def begin_segment(
        self,
        name: str | None = None,
        traceid: str | None = UNSAID,
        parent_id: str | None = None,
        sampling: object = None,
    ) -> AnySegment:
        """
        Begin a segment.

        A trace id, be it None, is passed by what handles a request's headers (the
        SDK's middlewares do): that is the request's own segment. Where svcready has a
        span of the request already, it is that.
        """
        if not sdk_enabled():
            return cast("AnySegment", super().begin_segment(name))  # type: ignore[misc]

        spans = self._svcready_spans
        if traceid is not UNSAID:
            entity = spans.current()
            if entity is not None:
                return cast("AnySegment", _segment_of(entity))

        name = str(name or self.service or spans.service)
        try:
            segment = spans.begin_segment(name, traceid, parent_id, sampling)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)
            span = UnsampledSpan(_otel.new_ids())
            segment = spans.kinds.left_out_segment(span, name)

        enter(segment, getattr(segment, "context", None))
        return segment

    def end_segment(self, end_time: float | None = None) -> None:
        """End the innermost segment that was begun here; a request's ends by itself."""
        if sdk_enabled():
            self.context.end_segment(end_time)

    def _begin_subsegment_helper(
        self,
        name: str,
        namespace: str = "local",
        beginWithoutSampling: bool = False,  # noqa: FBT001, FBT002
    ) -> AnySubsegment:
        if not sdk_enabled():
            begin = super()._begin_subsegment_helper  # type: ignore[misc]
            return cast("AnySubsegment", begin(name, namespace))

        spans = self._svcready_spans
        if beginWithoutSampling:
            left_out = spans.leave_out(name)
            enter(left_out)
            return left_out

        current = _otel.current()
        try:
            subsegment = spans.begin_subsegment(str(name), namespace)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)
            subsegment = spans.leave_out(name)

        if isinstance(subsegment, LeftOutSubsegment) and _is_flat(current):
            return subsegment

        enter(subsegment, getattr(subsegment, "context", None))
        return subsegment

    def end_subsegment(self, end_time: float | None = None) -> None:
        """End the innermost subsegment that was begun here."""
        if sdk_enabled():
            self.context.end_subsegment(end_time)

    def current_segment(self) -> AnySegment | None:
        """Return the segment that work is in; None outside any."""
        entity = self.get_trace_entity()
        return None if entity is None else cast("AnySegment", _segment_of(entity))

    def current_subsegment(self) -> AnySubsegment | None:
        """Return the innermost subsegment; in a left-out trace, one that is none."""
        if not sdk_enabled():
            return cast("AnySubsegment | None", super().current_subsegment())  # type: ignore[misc]

        entity = self.get_trace_entity()
        if isinstance(entity, LeftOutSegment):
            return self._svcready_spans.kinds.left_out_subsegment(entity.span)

        if entity is None or entity.is_segment:
            return None

        return cast("AnySubsegment", entity)

    def put_annotation(self, key: str, value: object) -> None:
        """Annotate the current entity."""
        entity = self._open_entity()
        if entity is not None:
            entity.put_annotation(key, value)

    def put_metadata(self, key: str, value: object, namespace: str = "default") -> None:
        """Attach data to the current entity."""
        entity = self._open_entity()
        if entity is not None:
            entity.put_metadata(key, value, namespace)

    def stream_subsegments(self) -> None:
        """Do nothing: each span leaves when it ends."""

    def _send_segment(self) -> None:
        pass

    def _open_entity(self) -> Entity | None:
        if not sdk_enabled():
            return None

        return self.get_trace_entity()


def _segment_of(entity: Entity) -> object:
    return entity if entity.is_segment else getattr(entity, "parent_segment", entity)


def _is_flat(context: Mapping[str, object]) -> bool:
    """
    Tell whether what is left out may begin and end without being entered.

    In a request that is not sampled nothing has to be kept apart; but a subsegment that
    is left out of a sampled one is to be found by its own end.
    """
    span, place = context.get(SPAN_KEY), cast("Place | None", context.get(PLACE_KEY))
    if not _otel.is_left_out(span):
        return False

    return place is None or place.entity.is_segment
