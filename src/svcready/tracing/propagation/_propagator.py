"""Our OpenTelemetry propagator: the configured formats, read and written."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import DEFAULT_TRACE_STATE
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from svcready._core import context as our_context
from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing._otel import (
    SPAN_KEY,
    UNDECIDED_KEY,
    RemoteSpan,
    ids_of,
)
from svcready.tracing.propagation import _b3
from svcready.tracing.propagation._baggage import format_baggage
from svcready.tracing.propagation._reading import (
    BAGGAGE_KEY,
    DEBUG_KEY,
    ORIGIN_KEY,
    READERS,
    XRAY_KEY,
    read_baggage,
    read_decision,
)
from svcready.tracing.propagation._w3c import (
    FLAGS,
    HEX,
    KNOWN,
    LONGEST_STATE_CHARS,
    NO_SPAN,
    NO_TRACE,
    SAMPLED,
    fit_tracestate,
)
from svcready.tracing.propagation._xray_header import format_xray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.propagators.textmap import Getter, Setter
    from opentelemetry.trace import TraceState

    Ids = tuple[str, str]
    Headers = Sequence[tuple[str, str]]

__all__ = ["Propagator", "is_default"]

C = TypeVar("C")

_TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_BAGGAGE = "baggage"
_XRAY = "X-Amzn-Trace-Id"
_DEFAULTS = {TraceContextTextMapPropagator, W3CBaggagePropagator}
_FIELDS = {
    "tracecontext": {_TRACEPARENT, _TRACESTATE},
    "baggage": {_BAGGAGE},
    "xray": {_XRAY},
    "xray-lambda": {_XRAY},
    "b3": {_b3.SINGLE},
    "b3multi": {_b3.TRACE_ID, _b3.SPAN_ID, _b3.SAMPLED, _b3.FLAGS},
}
_sendable = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=@~-]{0,127}").fullmatch
_new_remote = RemoteSpan.__new__
_IDS = "_svcready_ids"


class Propagator(TextMapPropagator):
    """
    Reads and writes the headers of the configured formats.

    Nothing that a header or carrier holds makes it raise. Of several valid trace
    headers the format that is named last wins, as with `OTEL_PROPAGATORS`. B3 is read
    in both its forms, whichever is named; its decision without a trace counts where no
    header names a trace.

    Args:
        names: Of `tracecontext`, `baggage`, `xray`, `xray-lambda` (which looks into
            Lambda's environment where there is no header), `b3` and `b3multi`.
        id_headers: What carries our request id and correlation id; None if they are
            not sent.
    """

    def __init__(
        self, names: Sequence[str], id_headers: tuple[str, str] | None = None
    ) -> None:
        self.names = tuple(names)
        formats = [name for name in reversed(self.names) if name != "baggage"]
        self._readers = tuple(READERS[name] for name in dict.fromkeys(formats))
        self._reads_w3c_first = formats[:1] == ["tracecontext"]
        self._w3c = "tracecontext" in formats
        writers = [_WRITERS[name] for name in formats if name in _WRITERS]
        self._others = tuple(dict.fromkeys(writers))
        self._baggage = "baggage" in self.names
        self._decided = not {"b3", "b3multi"}.isdisjoint(formats)
        self._id_headers = id_headers
        self._more = bool(self._others) or self._baggage or id_headers is not None

    def extract(
        self,
        carrier: C,
        context: Context | None = None,
        getter: Getter[C] = default_getter,
    ) -> Context:
        """Return *context*, by default an empty one, with what the headers say."""
        try:
            if getter is default_getter and carrier.__class__ is dict:
                headers: dict[str, str] = carrier  # type: ignore[assignment]
                header = headers.get(_TRACEPARENT) if self._reads_w3c_first else None
                # Most callers: version 00, which is all that the pattern lets pass.
                match = KNOWN(header) if header.__class__ is str else None
                if match is not None:
                    trace_id, span_id, flags = match.groups()
                    if trace_id != NO_TRACE and span_id != NO_SPAN:
                        span = _new_remote(RemoteSpan)
                        span._svcready_ids = trace_id, span_id  # noqa: SLF001
                        span.flags = FLAGS[flags] & 3
                        if (
                            _TRACESTATE not in headers
                            and _BAGGAGE not in headers
                            and not context
                        ):
                            return Context({SPAN_KEY: span})

                found = self._found_in_dict(headers)
            else:
                found = self._found(carrier, getter.get)
        except Exception as error:  # noqa: BLE001 - a foreign getter's fault
            report_fault("tracing.propagation", error)
            found = {}

        return Context({**context, **found} if context else found)

    def inject(  # noqa: C901, PLR0912 - in one frame, which is half of its cost
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
            ids = None if span is None else getattr(span, _IDS, None) or ids_of(span)
            if ids is None:
                if self._more:
                    self._inject_more(carrier, context, setter)

                return

            state = None
            flags = getattr(span, "flags", None)  # as our spans have them at hand
            if flags is None:
                flags, state = span.get_span_context()[3:5]  # type: ignore[attr-defined]
            elif getattr(span, "tracestate", None) is not None:
                state = span.get_span_context()[4]  # type: ignore[attr-defined]

            if self._w3c:
                header = f"00-{ids[0]}-{ids[1]}-{HEX[flags & 3]}"
                if setter is default_setter:  # without its frame
                    carrier[_TRACEPARENT] = header  # type: ignore[index]
                else:
                    setter.set(carrier, _TRACEPARENT, header)

                if state is not None and state is not DEFAULT_TRACE_STATE and state:
                    setter.set(carrier, _TRACESTATE, _fitting(state))

            if self._more:
                undecided = span.__class__ is RemoteSpan and UNDECIDED_KEY in context
                decision = None if undecided else flags & SAMPLED
                for write in self._others:
                    for name, value in write(ids, decision, context):
                        setter.set(carrier, name, value)

                self._inject_more(carrier, context, setter)
        except Exception as error:  # noqa: BLE001 - the call goes on without headers
            report_fault("tracing.propagation", error)

    @property
    def fields(self) -> set[str]:
        """The names of the headers that are written."""
        return {
            *(self._id_headers or ()),
            *(field for name in self.names for field in _FIELDS[name]),
        }

    def _inject_more(self, carrier: C, context: Context, setter: Setter[C]) -> None:
        """Write what goes along, with a trace or without."""
        if self._baggage and BAGGAGE_KEY in context:
            header = _baggage_of(context)
            if header:
                setter.set(carrier, _BAGGAGE, header)

        if self._id_headers is not None:
            for name, value in _our_ids(self._id_headers):
                if not _has(carrier, name):
                    setter.set(carrier, name, value)

    def _found_in_dict(self, carrier: dict[str, str]) -> dict[str, object]:
        found = self._found(carrier, dict.get)
        if SPAN_KEY not in found and carrier:
            # A plain dict keeps the case in which somebody wrote the names.
            lowered = {
                name.lower(): value
                for name, value in carrier.items()
                if name.__class__ is str
            }
            if lowered.keys() != carrier.keys():
                found = self._found(lowered, _get_lowered)

        return found

    def _found(
        self, carrier: C, get: Callable[[C, str], list[str] | str | None]
    ) -> dict[str, object]:
        found: dict[str, object] = {}
        for read in self._readers:
            found = read(carrier, get)
            if found:
                break
        else:
            if self._decided:
                found = read_decision(carrier, get)

        return {**found, **read_baggage(carrier, get)} if self._baggage else found


def is_default(propagator: TextMapPropagator) -> bool:
    """Tell whether OpenTelemetry itself chose *propagator* when it was imported."""
    if type(propagator) is not CompositePropagator:
        return False

    if "OTEL_PROPAGATORS" in os.environ:  # it took that for a choice, and so do we
        return True

    parts = getattr(propagator, "_propagators", ())
    return {type(part) for part in parts} == _DEFAULTS


def _has(carrier: object, name: str) -> bool:
    """Tell whether the application itself has put a header there."""
    try:
        return name in carrier  # type: ignore[operator]
    except TypeError:
        return False


def _get_lowered(carrier: dict[str, str], name: str) -> str | None:
    return carrier.get(name.lower())


def _baggage_of(context: Context) -> str:
    values, origin = context.get(BAGGAGE_KEY), context.get(ORIGIN_KEY)
    return format_baggage(
        values if isinstance(values, dict) else {},
        origin if isinstance(origin, dict) else None,
    )


def _fitting(state: TraceState) -> str:
    text = state.to_header()
    # An application can add members, and so make it too long.
    return text if len(text) <= LONGEST_STATE_CHARS else fit_tracestate(text)


def _xray_headers(ids: Ids, decision: int | None, context: Context) -> Headers:
    sampled = None if decision is None else bool(decision)
    passed = context.get(XRAY_KEY, "")
    return ((_XRAY, format_xray(*ids, sampled, str(passed))),)


def _b3_header(ids: Ids, decision: int | None, context: Context) -> Headers:
    return ((_b3.SINGLE, _b3.format_b3(*ids, _b3_state(decision, context))),)


def _b3_headers(ids: Ids, decision: int | None, context: Context) -> Headers:
    headers = ((_b3.TRACE_ID, ids[0]), (_b3.SPAN_ID, ids[1]))
    state = _b3_state(decision, context)
    if state == _b3.DEBUG:  # which says that it is sampled
        return (*headers, (_b3.FLAGS, "1"))

    return (*headers, (_b3.SAMPLED, state)) if state else headers


def _b3_state(decision: int | None, context: Context) -> str:
    if decision is None:
        return ""

    return _b3.DEBUG if decision and DEBUG_KEY in context else str(decision)


def _our_ids(names: tuple[str, str]) -> Headers:
    record = our_context.current()
    if record is None:
        return ()

    ids = record.request_id, record.correlation_id
    pairs = zip(names, ids, strict=True)
    return [(name, value) for name, value in pairs if value and _sendable(value)]


_WRITERS: dict[str, Callable[[Ids, int | None, Context], Headers]] = {
    "xray": _xray_headers,
    "xray-lambda": _xray_headers,
    "b3": _b3_header,
    "b3multi": _b3_headers,
}
