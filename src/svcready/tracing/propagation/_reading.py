"""What the headers of each format add to OpenTelemetry's context."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.baggage import _BAGGAGE_KEY as BAGGAGE_KEY
from opentelemetry.context import create_key

from svcready.tracing import _otel
from svcready.tracing._otel import SPAN_KEY, UNDECIDED_KEY, RemoteSpan
from svcready.tracing.propagation._b3 import NAMES, parse_b3_headers
from svcready.tracing.propagation._baggage import parse_baggage
from svcready.tracing.propagation._w3c import RANDOM, SAMPLED, parse_traceparent
from svcready.tracing.propagation._xray_header import parse_xray

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.tracing.propagation._b3 import B3

__all__ = [
    "BAGGAGE_KEY",
    "DEBUG_KEY",
    "ORIGIN_KEY",
    "READERS",
    "XRAY_KEY",
    "baggage_values",
    "read_baggage",
    "read_decision",
    "xray_values",
]

C = TypeVar("C")

XRAY_KEY = create_key("svcready-xray")
"""What an X-Amzn-Trace-Id header carried besides ids: Lineage and user data."""
DEBUG_KEY = create_key("svcready-b3-debug")
"""Set if the caller's B3 headers asked to sample at all costs."""
ORIGIN_KEY = create_key("svcready-baggage")
"""The baggage as it came, with its properties."""

_LAMBDA = "_X_AMZN_TRACE_ID"
"""Where Lambda's runtime keeps the header of the invocation at hand."""
_XRAY_NAMES = ("AWSTraceHeader", "x-amzn-trace-id", "X-Amzn-Trace-Id")
"""SQS's system attribute first: it beats the header. A plain dict keeps the case."""
_B3_NAMES = tuple(name.lower() for name in NAMES)


def baggage_values(header: str) -> dict[str, object]:
    """Return what a baggage header adds to a context."""
    entries = parse_baggage(header)
    if not entries:
        return {}

    values: dict[str, object] = {key: entry.value for key, entry in entries.items()}
    return {BAGGAGE_KEY: values, ORIGIN_KEY: entries}


def xray_values(header: str) -> dict[str, object]:
    """Return what an X-Amzn-Trace-Id header adds to a context."""
    parsed = parse_xray(header)
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


def read_baggage(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    """Read the header baggage."""
    headers = get(carrier, "baggage")
    return baggage_values(_joined(headers)) if headers else {}


def _joined(headers: list[str] | str) -> str:
    return headers if isinstance(headers, str) else ",".join(headers)


def _only(headers: list[str] | str | None) -> str | None:
    """Return the one header; several contradict each other and are as good as none."""
    if headers is None or isinstance(headers, str):
        return headers

    return headers[0] if len(headers) == 1 else ""


def _read_w3c(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    header = _only(get(carrier, "traceparent"))
    parsed = None if header is None else parse_traceparent(header)
    if parsed is None:
        return {}

    states = get(carrier, "tracestate")
    state = _joined(states) if states else None
    trace_id, span_id, flags = parsed
    return {SPAN_KEY: RemoteSpan((trace_id, span_id), flags & 3, state)}


def _read_xray(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    for name in _XRAY_NAMES:
        header = _only(get(carrier, name))
        if header:
            return xray_values(header)

    return {}


def _read_xray_lambda(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    # Read each time: the runtime sets it anew for each invocation.
    return _read_xray(carrier, get) or xray_values(os.environ.get(_LAMBDA, ""))


def _read_b3(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    parsed = parse_b3_headers(*[_only(get(carrier, name)) for name in _B3_NAMES])
    if parsed is None or parsed.trace_id is None or parsed.span_id is None:
        return {}

    return _b3_values((parsed.trace_id, parsed.span_id), 0, parsed)


def read_decision(
    carrier: C, get: Callable[[C, str], list[str] | str | None]
) -> dict[str, object]:
    """Read a decision of B3 about a trace that is to begin here."""
    parsed = parse_b3_headers(*[_only(get(carrier, name)) for name in _B3_NAMES])
    # OpenTelemetry has no other place for a decision than a parent.
    return {} if parsed is None else _b3_values(_otel.new_ids(), RANDOM, parsed)


def _b3_values(ids: tuple[str, str], flags: int, parsed: B3) -> dict[str, object]:
    flags |= SAMPLED if parsed.sampled else 0
    found: dict[str, object] = {SPAN_KEY: RemoteSpan(ids, flags)}
    if parsed.sampled is None:
        found[UNDECIDED_KEY] = True

    if parsed.debug:
        found[DEBUG_KEY] = True

    return found


READERS = {
    "tracecontext": _read_w3c,
    "xray": _read_xray,
    "xray-lambda": _read_xray_lambda,
    "b3": _read_b3,
    "b3multi": _read_b3,
}
"""What reads the ids of each format, through a carrier's getter."""
