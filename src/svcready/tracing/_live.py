"""Declared spans made real: they become OpenTelemetry's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready._core.type_names import type_name
from svcready.errors import DeclarationError
from svcready.tracing import _otel
from svcready.tracing._attributes import ANNOTATIONS, METADATA
from svcready.tracing._contents import put
from svcready.tracing._errors import record
from svcready.tracing._links import linked
from svcready.tracing._otel import ROOT_KEY, SPAN_KEY, UnsampledSpan
from svcready.tracing._recorded import RecordedSpan
from svcready.tracing.propagation._w3c import HEX
from svcready.tracing.sampling._decider import SAMPLING_RULE
from svcready.tracing.sampling._request import NO_REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.trace import Tracer

    from svcready.tracing._attributes import Attributes
    from svcready.tracing._backend import Linkable, OpenSpan, SpanHandle
    from svcready.tracing._tracer import RecordingTracer

    Decide = Callable[[str, str, Callable[[], Mapping[str, object]]], str | None]

__all__ = ["LiveSpan", "LiveSpans"]

_COMPONENT = "tracing.span"
_ANNOTATED = "_svcready_annotated"
"""How many annotations the trace has in this process, on its first span here."""


class LiveSpan:
    """A recorded span, open or current."""

    __slots__ = ("_attributes", "_context", "_span", "_token")

    def __init__(self, span: Span, attributes: Attributes) -> None:
        self._span = span
        self._attributes = attributes
        self._context: Context | None = None
        self._token: Token[Context] | None = None

    def set(self, /, **attributes: object) -> None:
        """Set attributes of the span."""
        try:
            put(self._span, self._attributes.clean(attributes))
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)

    def annotate(self, /, **attributes: object) -> None:
        """Set attributes of the span that X-Ray indexes."""
        try:
            known = self._known(ANNOTATIONS)
            root = _otel.current().get(ROOT_KEY, self._span)
            used = int(getattr(root, _ANNOTATED, 0))
            made = self._attributes.annotations(attributes, known, used)
            put(self._span, made.attributes)
            if made.indexed:
                vars(root)[_ANNOTATED] = used + made.indexed

            if made.left_out:
                event = ItemsDropped("tracing.annotations", "too_many", made.left_out)
                publish(event)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)

    def metadata(self, namespace: str, values: Mapping[str, object]) -> None:
        """Attach anything JSON can say; kept with the trace, not indexed."""
        key = f"{METADATA}{namespace}"
        try:
            problem = _metadata_problem(namespace, values)
            if problem:
                publish(ItemsDropped("tracing.metadata", "invalid", 1))
                raise DeclarationError(problem)

            text = self._attributes.metadata(values, self._known(key))
            put(self._span, {key: text})
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)

    def record_exception(self, error: BaseException) -> None:
        """Note an exception that was handled."""
        record(self._span, error, self._attributes)

    def link(self, to: Linkable, /, **attributes: object) -> None:
        """Link the span to another, of another trace as a rule."""
        try:
            context = linked(to)
            if context is not None:
                self._span.add_link(context, self._attributes.clean(attributes))
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)

    @property
    def header(self) -> str:
        """The span's ids as a `traceparent`."""
        return _header_of(self._span)

    def enter(self) -> object:
        """Make the span current."""
        context = Context({**_otel.current(), SPAN_KEY: self._span})
        return _otel.attach(context), context

    def leave(self, token: object) -> None:
        """Make current what was so before `enter`."""
        _otel.detach(*cast("tuple[Token[Context], Context]", token))

    def open(self) -> None:
        """Make the span current until `close`."""
        base = _otel.current()
        context = Context({**base, SPAN_KEY: self._span} if base else _only(self._span))
        self._context = context
        self._token = _otel.attach(context)

    def close(self, error: BaseException | None) -> None:
        """End the span; an `Exception` that left its block makes it failed."""
        token, context = self._token, self._context
        if token is not None and context is not None:
            self._token = None
            _otel.detach(token, context)

        try:
            if isinstance(error, Exception):
                record(self._span, error, self._attributes)
                put(self._span, {"error.type": type_name(error)})
                self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))

            self._span.end()
        except Exception as fault:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, fault)

    def _known(self, key: str) -> object:
        attributes = getattr(self._span, "attributes", None)
        return None if attributes is None else attributes.get(key)


class _LeftOutRoot:
    """A root span that is not sampled: keeps its ids current, so that all inside is."""

    __slots__ = ("_context", "_token")

    def __init__(self, span: Span) -> None:
        self._context = Context({**_otel.current(), SPAN_KEY: span})
        self._token: Token[Context] | None = None

    def set(self, /, **attributes: object) -> None:
        pass

    def annotate(self, /, **attributes: object) -> None:
        pass

    def metadata(self, namespace: str, values: Mapping[str, object]) -> None:
        pass

    def record_exception(self, error: BaseException) -> None:
        pass

    def link(self, to: Linkable, /, **attributes: object) -> None:
        pass

    @property
    def header(self) -> str:
        return _header_of(cast("Span", self._context[SPAN_KEY]))

    def enter(self) -> object:
        return _otel.attach(self._context)

    def leave(self, token: object) -> None:
        _otel.detach(cast("Token[Context]", token), self._context)

    def open(self) -> None:
        self._token = _otel.attach(self._context)

    def close(self, error: BaseException | None) -> None:  # noqa: ARG002
        if self._token is not None:
            _otel.detach(self._token, self._context)
            self._token = None


def _nobody(method: str, path: str, describe: object) -> str | None:  # noqa: ARG001
    return None


class LiveSpans:
    """
    The backend of declared spans.

    Args:
        tracer: Starts them.
        attributes: Makes attributes of what the application gives.
        own: *tracer*, if it is one of ours.
        decide: Decides about a trace that begins here, if *tracer* is ours.
    """

    def __init__(
        self,
        tracer: Tracer,
        attributes: Attributes,
        own: RecordingTracer | None = None,
        decide: Decide = _nobody,
    ) -> None:
        self._tracer = tracer
        self._own = own
        self._decide = decide
        self._attributes = attributes

    def open(self, name: str, attributes: Mapping[str, object], /) -> OpenSpan | None:
        """Start a span and make it current; None if its trace is not sampled."""
        parent = _otel.current().get(SPAN_KEY)
        if parent.__class__ is UnsampledSpan:
            return None

        started = self._start(parent, name, attributes)
        if started is not None:
            started.open()

        return started

    def start(self, name: str, attributes: Mapping[str, object], /) -> OpenSpan | None:
        """Start a span that is not current; None if its trace is not sampled."""
        return self._start(_otel.current().get(SPAN_KEY), name, attributes)

    def current(self) -> SpanHandle | None:
        """Return the current span if it is recorded."""
        span = _otel.current().get(SPAN_KEY)
        if isinstance(span, Span) and span.is_recording():
            return LiveSpan(span, self._attributes)

        return None

    def _start(
        self, parent: object, name: str, attributes: Mapping[str, object]
    ) -> LiveSpan | _LeftOutRoot | None:
        try:
            if _otel.is_left_out(parent):
                return None

            if parent.__class__ is RecordedSpan:
                buffer = parent.buffer
                if buffer is not None and not buffer.admit():
                    return None

            given = self._attributes.clean(attributes) if attributes else {}
            name = self._attributes.name(name)
            own = self._own
            if own is None:
                span = self._tracer.start_span(name, attributes=given)
            elif parent.__class__ is RecordedSpan:
                span = own.record_inside(parent, name, given)
            elif _is_valid(parent):
                span = own.start_span(name, attributes=given)
            else:
                rule = self._decide(*NO_REQUEST, lambda: attributes)
                if rule is None:
                    return _LeftOutRoot(UnsampledSpan(_otel.new_ids()))

                if rule:
                    given[SAMPLING_RULE] = rule

                span = own.record(name, given, _otel.new_ids())

            if span.is_recording():
                return LiveSpan(span, self._attributes)

            return _LeftOutRoot(span)  # an application's own provider decided so
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault(_COMPONENT, error)
            return None


def _header_of(span: Span) -> str:
    trace_id, span_id = _otel.ids_of(span) or ("", "")
    flags = HEX[span.get_span_context().trace_flags & 3]
    return f"00-{trace_id}-{span_id}-{flags}" if trace_id else ""


def _metadata_problem(namespace: object, values: object) -> str:
    if not isinstance(namespace, str) or not namespace:
        return f"metadata: the namespace {namespace!r} is not a text"

    if namespace.upper().startswith("AWS."):
        return f"metadata: the namespace {namespace!r} is reserved by X-Ray"

    if not isinstance(values, Mapping):
        return f"metadata: the values of {namespace!r} are not named: {values!r:.100}"

    return ""


def _only(span: Span) -> dict[str, object]:
    return {SPAN_KEY: span}


def _is_valid(span: object) -> bool:
    return isinstance(span, Span) and span.get_span_context().is_valid
