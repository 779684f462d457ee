"""What spans are linked to, in the forms in which code has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext

from svcready.errors import DeclarationError
from svcready.tracing._otel import RemoteSpan
from svcready.tracing.propagation._w3c import RANDOM, parse_traceparent
from svcready.tracing.propagation._xray_header import parse_xray

if TYPE_CHECKING:
    from svcready.tracing._backend import Linkable

__all__ = ["linked"]

_HEADERS = ("traceparent", "x-amzn-trace-id", "awstraceheader")


def linked(to: Linkable) -> SpanContext | None:
    """
    Return the ids that *to* names; None if it names none, as a damaged header.

    Args:
        to: A header's value, a message's headers, a span of ours or OpenTelemetry's.

    Raises:
        DeclarationError: It is nothing of the kind.
    """
    if isinstance(to, SpanContext):
        return to if to.is_valid else None

    if isinstance(to, str | bytes):
        return _of_header(_text(to))

    if isinstance(to, Mapping):
        found = {_text(key).lower(): value for key, value in to.items()}
        made = (_of_header(_value(found.get(name))) for name in _HEADERS)
        return next((context for context in made if context is not None), None)

    header = getattr(to, "header", None)  # a handle of ours
    if isinstance(header, str):
        return _of_header(header)

    read = getattr(to, "get_span_context", None)
    if read is None:
        raise DeclarationError(
            f"link: {to!r} is neither a header, nor headers, nor a span"
        )

    return linked(read())


def _of_header(header: str) -> SpanContext | None:
    w3c = parse_traceparent(header)
    if w3c is not None:
        trace_id, span_id, flags = w3c
        return RemoteSpan((trace_id, span_id), flags & 3).get_span_context()

    xray = parse_xray(header)
    if xray is None or xray.parent_id is None:
        return None

    ids = xray.trace_id, xray.parent_id
    return RemoteSpan(ids, RANDOM | bool(xray.sampled)).get_span_context()


def _text(given: object) -> str:
    text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    return text.strip()


def _value(given: object) -> str:
    if isinstance(given, Mapping):  # an attribute of a message of SQS or SNS
        given = given.get("StringValue", given.get("Value"))

    return _text(given)
