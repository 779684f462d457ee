"""Our OpenTelemetry propagator: W3C, baggage and X-Ray, as configured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar, cast

from opentelemetry.baggage import _BAGGAGE_KEY as BAGGAGE_KEY
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, create_key
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._otel import (
    SPAN_KEY,
    UNDECIDED_KEY,
    RemoteSpan,
    UnsampledSpan,
)
from svcready.tracing.propagation._baggage import format_baggage, parse_baggage
from svcready.tracing.propagation._w3c import (
    RANDOM,
    SAMPLED,
    format_traceparent,
    parse_traceparent,
)
from svcready.tracing.propagation._xray_header import format_xray, parse_xray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.propagators.textmap import (
        Getter,
        Setter,
    )
    from opentelemetry.trace import Span

__all__ = ["BAGGAGE_KEY", "XRAY_KEY", "Propagator", "baggage_values", "is_default"]

C = TypeVar("C")

XRAY_KEY = create_key("svcready-xray")
"""What an X-Amzn-Trace-Id header carried besides ids: Lineage and user data."""
_ORIGIN_KEY = create_key("svcready-baggage")
"""The baggage as it came, with its properties."""

_TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_BAGGAGE = "baggage"
_XRAY = "X-Amzn-Trace-Id"
_DEFAULTS = {TraceContextTextMapPropagator, W3CBaggagePropagator}
_XRAY_SPELLINGS = ("x-amzn-trace-id", _XRAY)


def baggage_values(header: str) -> dict[str, object]:
    """Return what a baggage header adds to a context."""
    entries = parse_baggage(header)
    if not entries:
        return {}

    values: dict[str, object] = {key: entry.value for key, entry in entries.items()}
    return {BAGGAGE_KEY: values, _ORIGIN_KEY: entries}


class Propagator(TextMapPropagator):
    """
    Reads and writes the headers of the configured formats.

    Nothing that a header or carrier holds makes it raise. Of several valid trace
    headers the format that is named last wins, as with `OTEL_PROPAGATORS`.

    Args:
        names: Of `tracecontext`, `baggage` and `xray`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._w3c = "tracecontext" in names
        self._xray = "xray" in names
        self._baggage = "baggage" in names
        self._readers = tuple(
            {"tracecontext": _read_w3c, "xray": _read_xray}[name]
            for name in reversed(self.names)
            if name != "baggage"
        )

    def extract(
        self,
        carrier: C,
        context: Context | None = None,
        getter: Getter[C] = default_getter,
    ) -> Context:
        """Return *context*, by default an empty one, with what the headers say."""
        try:
            if getter is default_getter and carrier.__class__ is dict:
                get = cast("Callable[[C, str], list[str] | str | None]", dict.get)
                found = self._found(carrier, get)
            else:
                found = self._found(carrier, getter.get)
        except Exception as error:  # noqa: BLE001 - a foreign getter's fault
            report_fault("tracing.propagation", error)
            found = {}

        return Context({**context, **found} if context else found)

    def inject(
        self,
        carrier: C,
        context: Context | None = None,
        setter: Setter[C] = default_setter,
    ) -> None:
        """Write the headers for *context*, by default the current one."""
        if context is None:
            context = _otel.current()

        try:
            span = context.get(SPAN_KEY)
            ids = None if span is None else _otel.ids_of(span)
            if ids is not None:
                flags, state = _flags_and_state(span)
                if self._w3c:
                    header = format_traceparent(ids[0], ids[1], flags)
                    setter.set(carrier, _TRACEPARENT, header)
                    if state:
                        setter.set(carrier, _TRACESTATE, state)

                if self._xray:
                    passed = str(context.get(XRAY_KEY, ""))
                    header = format_xray(*ids, bool(flags & SAMPLED), passed)
                    setter.set(carrier, _XRAY, header)

            if self._baggage and BAGGAGE_KEY in context:
                header = _baggage_of(context)
                if header:
                    setter.set(carrier, _BAGGAGE, header)
        except Exception as error:  # noqa: BLE001 - the call goes on without headers
            report_fault("tracing.propagation", error)

    @property
    def fields(self) -> set[str]:
        """The names of the headers that are written."""
        names: set[str] = set()
        if self._w3c:
            names |= {_TRACEPARENT, _TRACESTATE}

        if self._xray:
            names.add(_XRAY)

        if self._baggage:
            names.add(_BAGGAGE)

        return names

    def _found(
        self, carrier: C, get: Callable[[C, str], list[str] | str | None]
    ) -> dict[str, object]:
        found: dict[str, object] = {}
        for read in self._readers:
            found = read(carrier, get)
            if found:
                break

        if self._baggage:
            headers = get(carrier, _BAGGAGE)
            if headers:
                found |= baggage_values(_joined(headers))

        return found


def is_default(propagator: TextMapPropagator) -> bool:
    """Tell whether OpenTelemetry itself chose *propagator* when it was imported."""
    if type(propagator) is not CompositePropagator:
        return False

    if "OTEL_PROPAGATORS" in os.environ:  # it took that for a choice, and so do we
        return True

    parts = getattr(propagator, "_propagators", ())
    return {type(part) for part in parts} == _DEFAULTS


def _baggage_of(context: Context) -> str:
    values, origin = context.get(BAGGAGE_KEY), context.get(_ORIGIN_KEY)
    return format_baggage(
        values if isinstance(values, dict) else {},
        origin if isinstance(origin, dict) else None,
    )


def _joined(headers: list[str] | str) -> str:
    return headers if headers.__class__ is str else ",".join(headers)


def _flags_and_state(span: object) -> tuple[int, str]:
    if span.__class__ is UnsampledSpan or span.__class__ is RemoteSpan:
        plain = cast("UnsampledSpan", span)
        if plain.tracestate is None:
            return plain.flags, ""

    made = cast("Span", span).get_span_context()
    state = made.trace_state
    text = state.to_header() if isinstance(state, TraceState) and state else ""
    return made.trace_flags, text


def _read_w3c(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    headers = get(carrier, _TRACEPARENT)
    if headers is None:
        return {}

    if headers.__class__ is not str:
        headers = headers[0] if len(headers) == 1 else ""

    parsed = parse_traceparent(str(headers))
    if parsed is None:
        return {}

    states = get(carrier, _TRACESTATE)
    state = _joined(states) if states else None
    trace_id, span_id, flags = parsed
    return {SPAN_KEY: RemoteSpan((trace_id, span_id), flags & 3, state)}


def _read_xray(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    headers = None
    for name in _XRAY_SPELLINGS:  # a plain dict as carrier keeps the case
        headers = headers or get(carrier, name)

    if not headers:
        return {}

    parsed = parse_xray(headers if isinstance(headers, str) else headers[0])
    if parsed is None:
        return {}

    # A load balancer has no span. OpenTelemetry can continue a trace only from one.
    ids = parsed.trace_id, parsed.parent_id or _otel.new_span_id()
    flags = RANDOM | (SAMPLED if parsed.sampled else 0)
    found: dict[str, object] = {SPAN_KEY: RemoteSpan(ids, flags)}
    if parsed.sampled is None:
        found[UNDECIDED_KEY] = True

    if parsed.passed:
        found[XRAY_KEY] = parsed.passed

    return found
