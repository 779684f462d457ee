"""What the SDK's recorder asks: what is open, and what is sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._otel import SPAN_KEY
from svcready.tracing.xray._sdk_bridge._kinds import sdk_enabled
from svcready.tracing.xray._sdk_bridge._places import (
    enter,
    here,
    leave,
    leave_all,
)
from svcready.tracing.xray._sdk_bridge._spans import Undecided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.tracing.xray._sdk_bridge._places import Place
    from svcready.tracing.xray._sdk_bridge._spans import Entity, Spans

__all__ = ["JoinedContext", "JoinedSampler"]

_COMPONENT = "tracing.xray_sdk"
_DESCRIBED = {
    "method": "http.request.method",
    "path": "url.path",
    "host": "server.address",
}


class JoinedContext:
    """
    Where the SDK looks for what is open: in OpenTelemetry's context.

    It follows tasks and threads as that does, so the application's choice of another
    (AsyncContext) is not needed, and nothing is missing that could be complained of.

    Args:
        spans: Finds entities.
    """

    def __init__(self, spans: Spans) -> None:
        self.spans = spans
        self.context_missing = "IGNORE_ERROR"

    def get_trace_entity(self) -> Entity | None:
        """Return the current entity; None outside any, without a word."""
        if not sdk_enabled():
            return self.spans.leave_out("dummy").parent_segment

        place = here()
        if place is not None and place.entity.span is _otel.current().get(SPAN_KEY):
            return cast("Entity", place.entity)

        return self.spans.current()

    def set_trace_entity(self, trace_entity: Entity | None) -> None:
        """Go on inside an entity, as code does that hands one to a thread."""
        span = getattr(trace_entity, "span", None)
        if span is not None and span is not _otel.current().get(SPAN_KEY):
            assert trace_entity is not None
            enter(trace_entity, getattr(trace_entity, "context", None))

    def clear_trace_entities(self) -> None:
        """Leave what was begun or brought here; the request itself stays."""
        leave_all()

    def put_segment(self, segment: Entity) -> None:
        """Go on inside *segment*."""
        self.set_trace_entity(segment)

    def put_subsegment(self, subsegment: Entity) -> None:
        """Go on inside *subsegment*."""
        self.set_trace_entity(subsegment)

    def end_segment(self, end_time: float | None = None) -> None:
        """End the innermost segment that the SDK has begun, and what is open in it."""
        place = here()
        while place is not None:
            self._end(place, end_time)
            if place.entity.is_segment:
                return

            place = here()

    def end_subsegment(self, end_time: float | None = None) -> bool:
        """End the innermost subsegment; False if there is none."""
        place = here()
        if place is None or place.entity.is_segment:
            return False

        self._end(place, end_time)
        return True

    def handle_context_missing(self) -> None:
        """Do nothing."""

    def _end(self, place: Place, end_time: float | None) -> None:
        try:
            cast("Entity", place.entity).close(end_time)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)

        leave(place)


class JoinedSampler:
    """
    Answers for the SDK's sampler: the decision is svcready's, and made once.

    Args:
        spans: Finds the current entity.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def should_trace(self, sampling_req: Mapping[str, object] | None = None) -> object:
        """Return what was decided; without that, a word for `begin_segment`."""
        entity = self._spans.current()
        if entity is not None:
            return 1 if entity.sampled else 0

        undecided = Undecided("svcready")
        asked = sampling_req or {}
        undecided.described = {
            name: asked[key]
            for key, name in _DESCRIBED.items()
            if asked.get(key) is not None
        }
        return undecided

    def load_local_rules(self, rules: object) -> None:
        """Do nothing: rules are svcready's, which reads the same documents."""

    def load_settings(self, *args: object) -> None:
        """Do nothing: nothing is asked for."""
