"""The server's side of a trace: from a request's headers to its finished span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from svcready._core.guard import report_fault
from svcready._core.http import METHODS, OTHER_VALUE
from svcready.tracing import _otel
from svcready.tracing._otel import (
    ROOT_KEY,
    SPAN_KEY,
    UNDECIDED_KEY,
    UnsampledSpan,
    new_ids,
    new_span_id,
)
from svcready.tracing._server_trace import RecordedTrace, ServerTrace
from svcready.tracing.propagation._inbound import NOBODY, CallerReader
from svcready.tracing.propagation._reading import baggage_values
from svcready.tracing.propagation._w3c import RANDOM, SAMPLED
from svcready.tracing.sampling._decider import SAMPLING_RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from svcready.tracing._attributes import Attributes
    from svcready.tracing._recorded import RecordedSpan
    from svcready.tracing._tracer import RecordingTracer
    from svcready.tracing.keeping._keeper import Keeper
    from svcready.tracing.propagation._inbound import B3Headers, Caller
    from svcready.tracing.sampling._decider import Decider

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["ServerTrace", "ServerTracer"]

_COMPONENT = "tracing.server"


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
        trust: `never` starts a new trace whatever the caller sends, linked to its.
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
        trust: str = "always",
        passive: bool = False,
    ) -> None:
        self._tracer = tracer
        self._decider = decider
        self._attributes = attributes
        self._read = CallerReader(propagators, trust).read
        self._baggage = "baggage" in propagators and trust != "never"
        self._own = own
        self._keeper = None if own is None else keeper
        if self._keeper is not None:
            from svcready.tracing.keeping._trace import KeptTrace

            self._kept_trace = KeptTrace
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
        b3: B3Headers | None = None,
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
            b3: The headers of `propagation._b3.NAMES`; None if there is none of them.
        """
        caller = NOBODY
        if traceparent is not None or xray is not None or b3 is not None:
            caller = self._read(traceparent, tracestate, xray, b3)

        extra = caller.extra
        if baggage is not None and self._baggage:
            extra = {**(extra or {}), **baggage_values(baggage)} or None

        trace_id = caller.trace_id
        decider = self._decider
        rule: str | None
        if decider is None:
            rule = ""  # as far as we know: the application's provider decides
        elif caller is NOBODY:
            rule = decider.decide(method, path, describe)
        else:
            rule = decider.inbound(caller.flag, method, path, describe)

        if rule is not None:
            return self._recorded(method, path, caller, extra, describe, rule)

        if self._keeper is not None:
            return self._maybe_kept(method, path, caller, extra, describe)

        if self._passive and (trace_id is not None or caller.flag is not None):
            return _passing(caller, extra)

        if caller is NOBODY and extra is None:  # most requests
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

    def _recorded(
        self,
        method: str,
        path: str,
        caller: Caller,
        extra: dict[str, object] | None,
        describe: Describe,
        rule: str,
    ) -> ServerTrace:
        name = method if method in METHODS else "HTTP"
        span: Span
        try:
            attributes = self._described(method, path, describe)
            if rule:
                attributes[SAMPLING_RULE] = rule

            span = self._start(name, caller, extra, attributes)
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
        caller: Caller,
        extra: dict[str, object] | None,
        describe: Describe,
    ) -> ServerTrace:
        assert self._own is not None
        assert self._keeper is not None
        name = method if method in METHODS else "HTTP"
        span = self._record(self._own, name, caller, extra, {}, sampled=0)
        return self._kept_trace(
            span,
            extra,
            caller.asked,
            name,
            lambda: self._described(method, path, describe),
            self._keeper,
            self._attributes,
        )

    def _start(
        self,
        name: str,
        caller: Caller,
        extra: dict[str, object] | None,
        attributes: dict[str, AttributeValue],
    ) -> Span:
        if self._own is not None:
            return self._record(self._own, name, caller, extra, attributes)

        if self._tracer is None:
            return UnsampledSpan(new_ids())

        values = dict(extra or {})
        if caller.trace_id is not None or caller.flag is not None:
            values[SPAN_KEY] = _remote(caller)

        return self._tracer.start_span(
            name, Context(values), SpanKind.SERVER, attributes, _links(caller.left)
        )

    def _record(
        self,
        own: RecordingTracer,
        name: str,
        caller: Caller,
        extra: dict[str, object] | None,
        attributes: dict[str, AttributeValue],
        sampled: int = SAMPLED,
    ) -> RecordedSpan:
        within = None if extra is None else Context(extra)
        if caller.trace_id is None:
            span = own.record(
                name,
                attributes,
                new_ids(),
                SpanKind.SERVER,
                flags=RANDOM | sampled,
                context=within,
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
                context=within,
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


def _remote(caller: Caller) -> _otel.RemoteSpan:
    """Return the caller's span, made up as far as there is none."""
    new_trace_id, new_span_id = new_ids()
    ids = caller.trace_id or new_trace_id, caller.parent_id or new_span_id
    return _otel.RemoteSpan(ids, caller.flags & 3, caller.tracestate)


def _passing(caller: Caller, extra: dict[str, object] | None) -> ServerTrace:
    span = _remote(caller)
    values = {**(extra or {}), SPAN_KEY: span}
    if caller.flag is None:
        values[UNDECIDED_KEY] = True

    flags = span.flags
    return ServerTrace(span._svcready_ids, flags, Context(values), caller.asked)  # noqa: SLF001


def _links(left: Caller | None) -> list[Link]:
    if left is None or left.trace_id is None or left.parent_id is None:
        return []

    span = _otel.RemoteSpan((left.trace_id, left.parent_id), left.flags & 3)
    return [Link(span.get_span_context())]
