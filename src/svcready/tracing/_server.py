"""The server's side of a trace: from a request's headers to its finished span."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from svcready._core.guard import report_fault
from svcready._core.http import METHODS, OTHER_VALUE
from svcready.tracing import _otel
from svcready.tracing._otel import (
    ROOT_KEY,
    SPAN_KEY,
    UnsampledSpan,
    new_ids,
    new_span_id,
)
from svcready.tracing._server_trace import RecordedTrace, ServerTrace
from svcready.tracing.propagation._propagator import XRAY_KEY, baggage_values
from svcready.tracing.propagation._w3c import RANDOM, SAMPLED, parse_traceparent
from svcready.tracing.propagation._xray_header import parse_xray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from svcready.tracing._attributes import Attributes
    from svcready.tracing._recorded import RecordedSpan
    from svcready.tracing._tracer import RecordingTracer
    from svcready.tracing.keeping._keeper import Keeper
    from svcready.tracing.propagation._xray_header import XRayHeader
    from svcready.tracing.sampling._decider import Decider

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["ServerTrace", "ServerTracer"]

_COMPONENT = "tracing.server"


class _Caller(NamedTuple):
    """What a request's headers say about where it comes from."""

    trace_id: str | None = None
    parent_id: str | None = None
    flag: bool | None = None
    flags: int = RANDOM
    tracestate: str | None = None
    asked: XRayHeader | None = None
    passed: str = ""
    left: _Caller | None = None
    """The caller whose trace is not continued, because it is not trusted."""


_NOBODY = _Caller()


class ServerTracer:
    """
    Begins the trace of each request.

    Args:
        tracer: Starts recorded spans.
        decider: Decides what is sampled; None where an application's own provider
            does.
        attributes: Redacts what goes into spans.
        propagators: The formats that are read; the last trace format named wins.
        own: *tracer*, if it is one of ours.
        keeper: Decides at the end about requests that are not sampled; None keeps
            none of them.
        trust: False starts a new trace whatever the caller sends, linked to its.
        passive: Tracing is off: a caller's trace passes through unchanged.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        decider: Decider | None,
        attributes: Attributes,
        propagators: Sequence[str],
        *,
        own: RecordingTracer | None = None,
        keeper: Keeper | None = None,
        trust: bool = True,
        passive: bool = False,
    ) -> None:
        formats = [name for name in propagators if name in {"tracecontext", "xray"}]
        self._tracer = tracer
        self._decider = decider
        self._attributes = attributes
        self._w3c = "tracecontext" in formats
        self._xray = "xray" in formats
        self._xray_wins = formats[-1:] == ["xray"]
        self._baggage = "baggage" in propagators
        self._trust = trust
        self._own = own
        self._keeper = None if own is None else keeper
        self._passive = passive

    def begin(
        self,
        method: str,
        path: str,
        traceparent: str | None,
        tracestate: str | None,
        xray: str | None,
        baggage: str | None,
        describe: Describe,
    ) -> ServerTrace:
        """
        Begin the trace of one request; `activate` makes it current.

        No header makes it raise: one that is not valid counts as absent.

        Args:
            method: As received.
            path: As received; never part of the span's name.
            traceparent: The header's value; None if absent, as for the others.
            tracestate: Several are joined by commas.
            xray: X-Amzn-Trace-Id.
            baggage: Several are joined by commas.
            describe: Gives the span's first attributes; called only if sampled.
        """
        caller = _NOBODY
        if traceparent is not None or xray is not None:
            caller = self._read(traceparent, tracestate, xray)

        extra = None
        if baggage is not None or caller.passed:
            extra = self._extra(baggage, caller)

        trace_id = caller.trace_id
        decider = self._decider
        rule: str | None
        if decider is None:
            rule = ""  # as far as we know: the application's provider decides
        elif trace_id is None:
            rule = decider.decide(method, path, describe)
        else:
            rule = decider.inbound(caller.flag, method, path, describe)

        if rule is not None:
            return self._recorded(method, path, caller, extra, describe)

        if self._keeper is not None:
            return self._maybe_kept(method, path, caller, extra, describe)

        if self._passive and caller.parent_id and trace_id:
            return _passing(caller, trace_id, caller.parent_id, extra)

        if caller is _NOBODY and extra is None:  # most requests
            # Made without the frames of constructors, which cost 1 µs of each.
            span = UnsampledSpan.__new__(UnsampledSpan)
            span._svcready_ids = ids = new_ids()  # noqa: SLF001
            trace = ServerTrace.__new__(ServerTrace)
            trace.trace_id, trace.span_id = ids
            trace.flags, trace.asked = RANDOM, None
            trace.context = Context({SPAN_KEY: span})
            return trace

        ids = new_ids() if trace_id is None else (trace_id, new_span_id())
        flags = caller.flags & RANDOM
        span = UnsampledSpan(ids, flags, caller.tracestate)
        context = {SPAN_KEY: span} if extra is None else {**extra, SPAN_KEY: span}
        return ServerTrace(ids, flags, Context(context), caller.asked)

    def _read(
        self, traceparent: str | None, tracestate: str | None, xray: str | None
    ) -> _Caller:
        caller = _NOBODY
        if traceparent is not None and self._w3c:
            parsed = parse_traceparent(traceparent)
            if parsed is not None:
                trace_id, span_id, flags = parsed
                flag = flags & SAMPLED != 0
                caller = _Caller(trace_id, span_id, flag, flags, tracestate)

        if xray is not None and self._xray:
            asked = parse_xray(xray)
            if asked is not None:
                if caller.trace_id is None or self._xray_wins:
                    flags = RANDOM | (asked.sampled or 0)
                    caller = _Caller(*asked[:3], flags)

                caller = caller._replace(asked=asked, passed=asked.passed)

        if self._trust or caller.trace_id is None:
            return caller

        return _NOBODY._replace(asked=caller.asked, left=caller)

    def _extra(self, baggage: str | None, caller: _Caller) -> dict[str, object] | None:
        extra: dict[str, object] = {}
        if caller.passed:
            extra[XRAY_KEY] = caller.passed

        if baggage is not None and self._baggage and self._trust:
            extra |= baggage_values(baggage)

        return extra or None

    def _recorded(
        self,
        method: str,
        path: str,
        caller: _Caller,
        extra: dict[str, object] | None,
        describe: Describe,
    ) -> ServerTrace:
        name = method if method in METHODS else "HTTP"
        span: Span
        try:
            span = self._start(name, caller, self._described(method, path, describe))
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, fault)
            span = UnsampledSpan(new_ids())

        ids = _otel.ids_of(span) or new_ids()
        values: dict[str, object] = {SPAN_KEY: span, ROOT_KEY: span}
        context = Context(values if extra is None else {**extra, **values})
        known = getattr(span, "flags", None)
        flags = span.get_span_context().trace_flags if known is None else known
        flags &= RANDOM
        if not span.is_recording():
            return ServerTrace(ids, flags, context, caller.asked)

        return RecordedTrace(
            ids, flags, context, caller.asked, span, name, self._attributes
        )

    def _maybe_kept(
        self,
        method: str,
        path: str,
        caller: _Caller,
        extra: dict[str, object] | None,
        describe: Describe,
    ) -> ServerTrace:
        from svcready.tracing.keeping._trace import begin_kept

        assert self._own is not None
        assert self._keeper is not None
        name = method if method in METHODS else "HTTP"
        span = self._record(self._own, name, caller, {}, sampled=0)
        return begin_kept(
            span,
            extra,
            caller.asked,
            name,
            lambda: self._described(method, path, describe),
            self._keeper,
            self._attributes,
        )

    def _start(
        self, name: str, caller: _Caller, attributes: dict[str, AttributeValue]
    ) -> Span:
        if self._own is not None:
            return self._record(self._own, name, caller, attributes)

        if self._tracer is None:
            return UnsampledSpan(new_ids())

        values: dict[str, object] = {}
        if caller.trace_id is not None:
            ids = caller.trace_id, caller.parent_id or new_span_id()
            values[SPAN_KEY] = _otel.RemoteSpan(
                ids, caller.flags & 3, caller.tracestate
            )

        return self._tracer.start_span(
            name, Context(values), SpanKind.SERVER, attributes, _links(caller.left)
        )

    def _record(
        self,
        own: RecordingTracer,
        name: str,
        caller: _Caller,
        attributes: dict[str, AttributeValue],
        sampled: int = SAMPLED,
    ) -> RecordedSpan:
        if caller.trace_id is None:
            span = own.record(
                name,
                attributes,
                new_ids(),
                SpanKind.SERVER,
                flags=RANDOM | sampled,
            )
        else:
            span = own.record(
                name,
                attributes,
                (caller.trace_id, new_span_id()),
                SpanKind.SERVER,
                flags=caller.flags & RANDOM | sampled,
                tracestate=caller.tracestate,
                parent_id=caller.parent_id,
                has_remote_parent=caller.parent_id is not None,
            )

        if caller.left is not None:
            span.add_links(_links(caller.left))

        return span

    def _described(
        self, method: str, path: str, describe: Describe
    ) -> dict[str, AttributeValue]:
        given: dict[str, object] = {"http.request.method": method, "url.path": path}
        if method not in METHODS:
            given["http.request.method"] = OTHER_VALUE
            if method != OTHER_VALUE:
                given["http.request.method_original"] = method

        try:
            given.update(describe())
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, fault)

        return self._attributes.clean(given)


def _passing(
    caller: _Caller, trace_id: str, span_id: str, extra: dict[str, object] | None
) -> ServerTrace:
    ids, flags = (trace_id, span_id), caller.flags & 3
    span = _otel.RemoteSpan(ids, flags, caller.tracestate)
    values = {**(extra or {}), SPAN_KEY: span}
    return ServerTrace(ids, flags, Context(values), caller.asked)


def _links(left: _Caller | None) -> list[Link]:
    if left is None or left.trace_id is None or left.parent_id is None:
        return []

    span = _otel.RemoteSpan((left.trace_id, left.parent_id), left.flags & 3)
    return [Link(span.get_span_context())]
